// A BACnet/IP device, or a client, by @bacnet-js/client.
// Usage: node bacnet_peer.mjs MODULES device HOST PORT multiple|single
//        node bacnet_peer.mjs MODULES read HOST PORT AT TYPE INSTANCE
import { createRequire } from "node:module";

const [modules, role, host, port, ...rest] = process.argv.slice(2);
const require = createRequire(`${modules}/`);
const Bacnet = require("@bacnet-js/client");
const { ApplicationTag: Tag, ObjectType, PropertyIdentifier: Property, StatusFlagsBitString } = Bacnet;

const DEVICE = 1234;
const OBJECT_ERROR = { errorClass: 1, errorCode: 31 };
const PROPERTY_ERROR = { errorClass: 2, errorCode: 32 };
const READ_PROPERTY = 12;
const SUBSCRIBE_COV = 5;

const client = new Bacnet.default({ interface: host, port: Number(port), broadcastAddress: "127.255.255.255" });
client.on("error", () => {});

function key({ type, instance }) {
  return `${type},${instance}`;
}

function analog(value, ...raised) {
  return {
    [Property.PRESENT_VALUE]: { type: Tag.REAL, value },
    [Property.STATUS_FLAGS]: { type: Tag.BIT_STRING, value: new StatusFlagsBitString(...raised) },
    [Property.RELIABILITY]: { type: Tag.ENUMERATED, value: raised.length ? 1 : 0 },
    [Property.UNITS]: { type: Tag.ENUMERATED, value: 62 },
  };
}

const objects = {
  [key({ type: ObjectType.DEVICE, instance: DEVICE })]: {
    [Property.OBJECT_IDENTIFIER]: { type: Tag.OBJECTIDENTIFIER, value: { type: ObjectType.DEVICE, instance: DEVICE } },
    [Property.MAX_APDU_LENGTH_ACCEPTED]: { type: Tag.UNSIGNED_INTEGER, value: 1476 },
    [Property.VENDOR_NAME]: { type: Tag.CHARACTER_STRING, value: "bacnet-js" },
    [Property.MODEL_NAME]: { type: Tag.CHARACTER_STRING, value: "模拟" },
  },
  [key({ type: ObjectType.ANALOG_INPUT, instance: 1 })]: analog(21.5),
  [key({ type: ObjectType.ANALOG_INPUT, instance: 2 })]: analog(-40.25),
  [key({ type: ObjectType.ANALOG_INPUT, instance: 3 })]: analog(7, 1),
  [key({ type: ObjectType.BINARY_INPUT, instance: 1 })]: {
    [Property.PRESENT_VALUE]: { type: Tag.ENUMERATED, value: 1 },
    [Property.STATUS_FLAGS]: { type: Tag.BIT_STRING, value: new StatusFlagsBitString() },
  },
  [key({ type: ObjectType.MULTI_STATE_VALUE, instance: 1 })]: {
    [Property.PRESENT_VALUE]: { type: Tag.UNSIGNED_INTEGER, value: 3 },
    [Property.STATUS_FLAGS]: { type: Tag.BIT_STRING, value: new StatusFlagsBitString() },
  },
};

function found(objectId, id) {
  const known = objectId.type === ObjectType.DEVICE && objectId.instance === 4194303 ? { ...objectId, instance: DEVICE } : objectId;
  const object = objects[key(known)];
  if (!object) return OBJECT_ERROR;
  return object[id] ?? PROPERTY_ERROR;
}

function serve(kind) {
  client.on("readProperty", ({ header, invokeId, payload }) => {
    const value = found(payload.objectId, payload.property.id);
    if (value.errorClass !== undefined) {
      client.errorResponse(header.sender, READ_PROPERTY, invokeId, value.errorClass, value.errorCode);
    } else client.readPropertyResponse(header.sender, invokeId, payload.objectId, payload.property, value);
  });
  // What nobody listens to, the library itself refuses.
  if (kind === "multiple") client.on("readPropertyMultiple", ({ header, invokeId, payload }) => {
    const results = payload.properties.map(({ objectId, properties }) => ({
      objectId,
      values: properties.map((property) => {
        const value = found(objectId, property.id);
        return { property, value: [value.errorClass === undefined ? value : { value: { type: "BacnetError", ...value } }] };
      }),
    }));
    client.readPropertyMultipleResponse(header.sender, invokeId, results);
  });
  client.on("subscribeCov", ({ header, invokeId, payload }) => {
    client.simpleAckResponse(header.sender, SUBSCRIBE_COV, invokeId);
    const object = objects[key(payload.monitoredObjectId)];
    object[Property.PRESENT_VALUE] = { ...object[Property.PRESENT_VALUE], value: 30.5 };
    const values = [Property.PRESENT_VALUE, Property.STATUS_FLAGS].map((id) => ({
      property: { id }, // with the index that means all of an array, the library would send it
      value: [object[id]],
    }));
    const { subscriberProcessId, monitoredObjectId, lifetime } = payload;
    const notice = [monitoredObjectId, subscriberProcessId, DEVICE, lifetime, values];
    client.confirmedCOVNotification(header.sender, ...notice).catch(() => {});
  });
  console.log("ready");
}

async function read([at, type, instance]) {
  const objectId = { type: Number(type), instance: Number(instance) };
  const answer = await client.readProperty({ address: at }, objectId, Property.PRESENT_VALUE);
  console.log(JSON.stringify(answer.values[0].value));
  client.close();
}

client.on("listening", () => (role === "device" ? serve(rest[0]) : read(rest)));

// An OPC UA server of another code base (node-opcua): security, users, an analog value and a limit alarm on it.
// Arguments: node_modules folder, host, port, folder for certificates. Says one JSON line when it listens, then takes one
// JSON object a line: {"set": 21.5}, {"hide": "shelved"}, {"trust": "PATH"}, {"quit": true}; and answers each with {"done": …}.

import { createRequire } from "node:module";
import { copyFileSync, mkdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { createInterface } from "node:readline";

const [modules, host, port, folder] = process.argv.slice(2);
const require = createRequire(join(modules, "package.json"));
const opcua = require("node-opcua");

const certificates = new opcua.OPCUACertificateManager({
  rootFolder: join(folder, "pki"),
  automaticallyAcceptUnknownCertificate: false,
});
await certificates.initialize();

const server = new opcua.OPCUAServer({
  host,
  port: Number(port),
  hostname: host,
  alternateHostname: [host],
  resourcePath: "/or",
  serverCertificateManager: certificates,
  securityPolicies: [
    opcua.SecurityPolicy.None,
    opcua.SecurityPolicy.Basic256Sha256,
    opcua.SecurityPolicy.Aes128_Sha256_RsaOaep,
    opcua.SecurityPolicy.Aes256_Sha256_RsaPss,
  ],
  securityModes: [
    opcua.MessageSecurityMode.None,
    opcua.MessageSecurityMode.Sign,
    opcua.MessageSecurityMode.SignAndEncrypt,
  ],
  allowAnonymous: true,
  userManager: { isValidUser: (name, password) => name === "gateway" && password === "correct horse" },
});
await server.initialize();
const space = server.engine.addressSpace;
const own = space.getOwnNamespace();
space.installAlarmsAndConditionsService();

const room = own.addObject({ organizedBy: space.rootFolder.objects, browseName: "room", nodeId: "s=room", eventSourceOf: space.rootFolder.objects.server });
const t = own.addAnalogDataItem({
  componentOf: room,
  browseName: "t",
  nodeId: "s=room.t",
  dataType: "Double",
  engineeringUnitsRange: { low: 0, high: 50 },
  value: { dataType: "Double", value: 21.5 },
  eventSourceOf: room,
});
const tooWarm = own.instantiateExclusiveLimitAlarm("ExclusiveLimitAlarmType", {
  browseName: "TooWarm",
  conditionName: "TooWarm",
  optionals: ["ShelvingState", "SuppressedState", "OutOfServiceState"],
  componentOf: room,
  conditionSource: t,
  inputNode: t,
  highHighLimit: 40,
  highLimit: 30,
  lowLimit: 10,
  lowLowLimit: 5,
});
function hide(way) {
  tooWarm.shelvingState.setState(way === "shelved" ? "OneShotShelved" : "Unshelved");
  tooWarm.suppressedState.setValue(way === "suppressed");
  tooWarm.outOfServiceState.id.setValueFromSource({ dataType: "Boolean", value: way === "out_of_service" });
}
hide("no");
own.addVariable({
  componentOf: room,
  browseName: "zones",
  nodeId: "s=room.zones",
  dataType: "Double",
  valueRank: 1,
  arrayDimensions: [3],
  value: { dataType: "Double", arrayType: opcua.VariantArrayType.Array, value: [1.5, 2.5, 3.5] },
});
own.addMultiStateDiscrete({ componentOf: room, browseName: "duty", nodeId: "s=room.duty", enumStrings: ["standby", "operating"], value: 1 });
own.addVariable({
  componentOf: room,
  browseName: "range",
  nodeId: "s=room.range",
  dataType: opcua.resolveNodeId("Range"),
  value: { dataType: "ExtensionObject", value: new opcua.Range({ low: -5, high: 7.5 }) },
});

await server.start();
const shown = join(folder, "server.der");
const { writeFileSync } = await import("node:fs");
writeFileSync(shown, server.getCertificate());
console.log(JSON.stringify({ certificate: shown, namespace: own.namespaceUri }));

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  if (asked.set !== undefined) t.setValueFromSource({ dataType: "Double", value: asked.set });
  if (asked.hide) {
    hide(asked.hide);
    tooWarm.raiseNewCondition({ message: asked.hide, severity: 500, retain: true });
  }
  if (asked.trust) {
    mkdirSync(join(folder, "pki/trusted/certs"), { recursive: true });
    await certificates.trustCertificate(readFileSync(asked.trust));
  }
  if (asked.quit) break;
  console.log(JSON.stringify({ done: line }));
}
await server.shutdown(10);
process.exit(0);

// Modbus TCP servers by modbus-serial and jsmodbus: every register holds its own address, those from 700 on do not exist.
// Usage: node modbus_servers.mjs MODULES modbus-serial|jsmodbus HOST PORT
import { createRequire } from "node:module";
import net from "node:net";

const [modules, kind, host, port] = process.argv.slice(2);
const require = createRequire(`${modules}/`);
const REGISTERS = 700;
const ILLEGAL_ADDRESS = 2;

function known(at) {
  if (at >= REGISTERS) throw Object.assign(new Error("no such register"), { modbusErrorCode: ILLEGAL_ADDRESS });
  return at;
}

if (kind === "modbus-serial") {
  const { ServerTCP } = require("modbus-serial");
  const vector = {
    getHoldingRegister: known,
    getInputRegister: known,
    getCoil: (at) => known(at) % 3 === 0,
    getDiscreteInput: (at) => known(at) % 3 === 0,
  };
  const server = new ServerTCP(vector, { host, port: Number(port), unitID: 7 });
  server.on("initialized", () => console.log("ready"));
  server.on("socketError", () => {});
} else {
  const modbus = require("jsmodbus");
  const registers = Buffer.alloc(2 * REGISTERS);
  for (let at = 0; at < REGISTERS; at += 1) registers.writeUInt16BE(at, 2 * at);
  const bits = Buffer.alloc(8);
  for (let at = 0; at < 64; at += 3) bits[at >> 3] |= 1 << (at & 7);
  const listener = net.createServer();
  new modbus.server.TCP(listener, { holding: registers, input: registers, coils: bits, discrete: bits });
  listener.listen(Number(port), host, () => console.log("ready"));
}

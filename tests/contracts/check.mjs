// The contract judged by programs that are not ours: @asyncapi/parser reads the document, ajv the schemas and payloads.
// Run by `make test-contracts`, which installs both below build/contracts.
import { readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const [modules, docs] = process.argv.slice(2).map((folder) => path.resolve(folder));
const require = createRequire(path.join(modules, "package.json"));
const { Parser } = require("@asyncapi/parser");
const Ajv2020 = require("ajv/dist/2020").default;
const Ajv = require("ajv").default;

const json = (file) => JSON.parse(readFileSync(path.join(docs, file), "utf-8"));
const files = (folder) => readdirSync(path.join(docs, folder)).filter((name) => name.endsWith(".json"));
const faults = [];
let checks = 0;

function check(what, holds, why) {
  checks += 1;
  if (!holds) faults.push(`${what}: ${why}`);
}

async function parsed(text) {
  const { document, diagnostics } = await new Parser().parse(text);
  return { document, errors: diagnostics.filter((each) => each.severity === 0).map((each) => each.message) };
}

// The document is accepted as a whole, and one with a wrong action is not: the judge is awake.
const text = readFileSync(path.join(docs, "schemas/asyncapi.json"), "utf-8");
const { document, errors } = await parsed(text);
check("asyncapi.json", document !== undefined && errors.length === 0, errors.join("; "));
const wrong = await parsed(text.replace('"action": "receive"', '"action": "take"'));
check("asyncapi.json with a wrong action", wrong.errors.length > 0, "was accepted");

// Every payload fits the schema that its `dataschema` names, in both dialects, and does not fit with a field of another type.
const described = JSON.parse(text);
const validators = new Map();
function validator(kind, name) {
  const file = `schemas/${kind}/${name}.schema.json`;
  if (!validators.has(file)) validators.set(file, new Ajv2020({ strict: true, allowUnionTypes: true }).compile(json(file)));
  return validators.get(file);
}
function older(kind, type) {
  const ajv = new Ajv({ strict: false });
  const entry = Object.entries(described.components.messages).find(([key, each]) => key.startsWith(kind) && each.name === type);
  return ajv.compile({ ...entry[1].payload, components: described.components });
}
function judge(file, kind, name, type, payload) {
  for (const [dialect, valid] of [["2020-12", validator(kind, name)], ["draft-07", older(kind, type)]]) {
    check(`${file} by ${dialect}`, valid(payload), JSON.stringify(valid.errors));
    for (const field of Object.keys(payload)) {
      check(`${file} with ${field} of another type by ${dialect}`, !valid({ ...payload, [field]: 17 }), "was accepted");
    }
  }
}
for (const name of files("payloads")) {
  const event = json(`payloads/${name}`);
  const kind = "sequence" in event ? "record" : "now";
  judge(name, kind, event.dataschema.split("/")[2], event.type.replace(/^wardgate\./, ""), event);
}
for (const name of files("payloads/commands")) {
  const verb = path.basename(name, ".json");
  judge(name, "command", verb, verb, json(`payloads/commands/${name}`));
}
for (const kind of ["record", "now", "command"]) {
  for (const name of files(`schemas/${kind}`)) validator(kind, path.basename(name, ".schema.json"));
}

faults.forEach((fault) => console.error(fault));
console.log(`${checks} checks, ${faults.length} faults`);
process.exit(faults.length === 0 ? 0 : 1);

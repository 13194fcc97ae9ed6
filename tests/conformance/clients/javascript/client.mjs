// What does a service written in JavaScript see? One client object for its life, and a line of JSON for each line it is sent.
import { createInterface } from "node:readline";
import { GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";

let client;

// One signed request, with the client that is there already, if one is.
async function call() {
  const begun = performance.now();
  const seconds = () => (performance.now() - begun) / 1000;
  try {
    client ??= new STSClient({});
    const identity = await client.send(new GetCallerIdentityCommand({}));
    return { ok: true, seconds: seconds(), said: identity.Arn };
  } catch (error) {
    const message = String(error.message).split(/\s+/).join(" ").trim().slice(0, 200);
    return { ok: false, seconds: seconds(), error: `${error.name}: ${message}` };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  if (line.trim() === "fresh") {
    client?.destroy();
    client = undefined;
  }
  process.stdout.write(`${JSON.stringify(await call())}\n`);
}

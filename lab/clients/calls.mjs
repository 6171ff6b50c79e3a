// Unary calls of @grpc/grpc-js over one connection: node calls.mjs PORT WORKERS CALLS; prints what came of them.
import { createRequire } from 'node:module';

const grpc = createRequire(`${process.env.CLIENTS_MODULES}/`)('@grpc/grpc-js');
const [port, workers, calls] = process.argv.slice(2).map(Number);
const options = { 'grpc.enable_retries': 0 };
const client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), options);
const outcomes = {};
let left = calls;
const same = (bytes) => bytes;

function count(word) {
  outcomes[word] = (outcomes[word] ?? 0) + 1;
}

function call() {
  return new Promise((resolve) => {
    client.makeUnaryRequest('/lab.Calls/Echo', same, same, Buffer.from('x'), (error) => {
      count(error ? `${error.code} ${error.details}` : 'ok');
      resolve();
    });
  });
}

async function worker() {
  while (left-- > 0) await call();
}

await Promise.all(Array.from({ length: workers }, worker));
console.log(JSON.stringify(outcomes));
client.close();

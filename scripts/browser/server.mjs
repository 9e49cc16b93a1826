// The server under test, on a free port of the loopback address.

import { spawn } from "node:child_process";
import { createServer } from "node:net";

const PATIENCE_MS = 60_000;

export async function startServer(program, model, options = []) {
  const port = await freePort();
  const named = model ? ["--model", model] : [];
  const child = spawn(program, [...named, "--port", String(port), ...options], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  process.once("exit", () => child.kill()); // whatever ends the test ends the server
  for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1));
  let log = "";
  child.stderr.on("data", (text) => (log = (log + text).slice(-4000)));
  const address = `http://127.0.0.1:${port}/`;
  const deadline = Date.now() + PATIENCE_MS;
  while (!(await healthy(address))) {
    if (child.exitCode !== null) throw new Error(`the server ended with ${child.exitCode}:\n${log}`);
    if (Date.now() > deadline) throw new Error(`the server is not healthy after ${PATIENCE_MS} ms:\n${log}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return { address, stop: () => stop(child) };
}

async function healthy(address) {
  try {
    return (await fetch(`${address}health`)).ok;
  } catch {
    return false;
  }
}

async function stop(child) {
  if (child.exitCode !== null) return;
  child.kill("SIGTERM");
  const forced = setTimeout(() => child.kill("SIGKILL"), 10_000);
  await new Promise((resolve) => child.once("exit", resolve));
  clearTimeout(forced);
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

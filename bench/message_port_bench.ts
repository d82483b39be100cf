/**
 * The way to a program and back: one message at a time, and 64 commands in one
 * message, to a task, a worker and a subprocess. The floor is a bare
 * MessageChannel inside one thread.
 *
 *     deno bench --allow-read --allow-run --allow-env bench/message_port_bench.ts
 *
 * @module
 */
import { startProgram } from "../supervisors/mod.ts";
import type { ChildKind } from "../supervisors/mod.ts";

const echo = new URL("./echo_program.ts", import.meta.url);
/** A put of 100 bytes with its frame. */
const COMMAND_BYTES = 155;

{
  const channel = new MessageChannel();
  let resolve: () => void = () => {};
  channel.port1.onmessage = () => resolve();
  channel.port2.onmessage = ({ data }) =>
    channel.port2.postMessage(data, [data.buffer]);
  Deno.bench("floor: a MessageChannel in one thread, 100 times", {
    group: "one",
    baseline: true,
  }, async () => {
    for (let i = 0; i < 100; i++) {
      await new Promise<void>((done) => {
        resolve = done;
        const message = new Uint8Array(COMMAND_BYTES);
        channel.port1.postMessage(message, [message.buffer]);
      });
    }
  });
}

/** Round trips in one iteration, so that the harness's own turns do not count. */
const ROUND_TRIPS = 100;

for (const placement of ["task", "worker", "subprocess"] as ChildKind[]) {
  let answered: () => void = () => {};
  const child = await startProgram({
    placement,
    module: echo,
    onMessage: () => answered(),
  });
  const ask = async (bytes: number): Promise<void> => {
    for (let i = 0; i < ROUND_TRIPS; i++) {
      await new Promise<void>((resolve) => {
        answered = resolve;
        child.send(new Uint8Array(bytes));
      });
    }
  };
  Deno.bench(`${placement}: one command there and back, 100 times`, {
    group: "one",
  }, async () => await ask(COMMAND_BYTES));
  Deno.bench(`${placement}: 64 commands in one message, 100 times`, {
    group: "sixty-four",
  }, async () => await ask(64 * COMMAND_BYTES));
}

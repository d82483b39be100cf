import { assertEquals, assertThrows } from "@std/assert";
import { WhorlError } from "../base/errors.ts";
import { answersLater } from "./vnode.ts";
import { MasterBench } from "./testing/master_bench.ts";

/** A bench whose commands are done in a pool; what a command says ends with its gate. */
async function pooledBench(): Promise<
  {
    bench: MasterBench;
    gate: PromiseWithResolvers<string>;
    signals: AbortSignal[];
  }
> {
  const bench = await new MasterBench().start();
  const gate = Promise.withResolvers<string>();
  const signals: AbortSignal[] = [];
  bench.handler = (request, call, partition) => {
    if (request === "here") return "at once";
    bench.contexts.get(partition)!.pool("slow").run((signal) => {
      signals.push(signal);
      return request === "fails"
        ? Promise.reject(new Error("no"))
        : gate.promise;
    }, call).then(
      (value) => call.reply(`${request}: ${value}`),
      (error) => call.reject(error),
    );
    return answersLater;
  };
  return { bench, gate, signals };
}

Deno.test("VnodeMaster runs work in a pool while its vnodes serve, and answers overload when too much waits", async () => {
  const { bench, gate } = await pooledBench();
  await using _bench = bench;
  for (const partition of [1, 2]) await bench.ask(partition, "here");
  bench.answers.length = 0;
  bench.send(1, "a");
  bench.send(2, "b");
  bench.send(1, "c");
  assertEquals(await bench.ask(1, "here"), ["reply", "at once"]);
  await bench.runtime.advance(0);
  assertEquals(bench.answers.map(([of, code]) => [of, code]), [
    [6, "reply"],
    [5, "overload"],
  ]);
  gate.resolve("done");
  await bench.runtime.advance(0);
  await bench.runtime.advance(0);
  assertEquals(bench.answers.slice(2), [
    [3, "reply", "a: done"],
    [4, "reply", "b: done"],
  ]);
});

Deno.test("VnodeMaster answers vnode_error for work that fails, and the vnode goes on", async () => {
  const { bench } = await pooledBench();
  await using _bench = bench;
  bench.send(1, "fails");
  await bench.runtime.advance(0);
  assertEquals(bench.answers, [[1, "vnode_error", "no"]]);
  assertEquals(await bench.ask(1, "here"), ["reply", "at once"]);
  assertEquals(bench.started, [1]);
});

Deno.test("VnodeMaster drops work whose caller has stopped waiting or whose vnode has ended", async () => {
  const { bench, gate, signals } = await pooledBench();
  await using _bench = bench;
  bench.send(1, "a", { timeLeftMs: 10 });
  bench.send(2, "b");
  await bench.runtime.advance(10);
  assertEquals(bench.answers.map(([of, code]) => [of, code]), [[1, "timeout"]]);
  assertEquals(signals[0]?.aborted, true);
  bench.contexts.get(2)!.crash(new Error("bad luck"));
  await bench.runtime.advance(0);
  assertEquals(bench.answers[1]?.slice(0, 2), [2, "vnode_crashed"]);
  gate.resolve("late");
  await bench.runtime.advance(100);
  // What had waited for the crashed vnode was never begun.
  assertEquals([signals.length, bench.answers.length], [1, 2]);
});

Deno.test("VnodeMaster lists its pools when asked for an unknown one", async () => {
  await using bench = await new MasterBench().start();
  await bench.ask(1, "a");
  const error = assertThrows(
    () => bench.contexts.get(1)!.pool("fast"),
    WhorlError,
    "Cannot find pool 'fast' of 'test': it has declared slow",
  );
  assertEquals(error.code, "invalid_argument");
});

Deno.test("VnodeMaster waits for running work before it closes its store, up to a bound", async () => {
  for (const ends of [true, false]) {
    const { bench, gate, signals } = await pooledBench();
    bench.send(1, "a");
    bench.send(2, "b");
    await bench.runtime.advance(0);
    let stopped = false;
    const stopping = bench.master.stop().then(() => stopped = true);
    await bench.runtime.settle();
    assertEquals([stopped, signals[0]?.aborted], [false, true]);
    assertEquals(
      bench.answers.map(([, code]) => code),
      ["vnode_crashed", "vnode_crashed"],
    );
    if (ends) {
      gate.resolve("done");
      await bench.runtime.settle();
    } else await bench.runtime.advance(3_000);
    await stopping;
    assertEquals(bench.warnings.length, ends ? 0 : 1);
    bench.link.close();
  }
});

import { assertEquals } from "@std/assert";
import type { ProgramContext } from "./program.ts";
import { ProgramHost } from "./program_host.ts";
import { systemRuntime } from "./runtime.ts";

/** A program that has started, with what it was given. */
function started(): { host: ProgramHost; context: ProgramContext } {
  let given: ProgramContext | undefined;
  const host = new ProgramHost({
    placement: "task",
    runtime: systemRuntime,
    load: () => (context) => {
      given = context;
      return {};
    },
    port: { post() {}, send() {}, ended() {} },
  });
  host.control({ type: "start", module: "none", name: "one", args: null });
  return { host, context: given as ProgramContext };
}

Deno.test("ProgramContext.signal aborts when the program is asked to stop", () => {
  const { host, context } = started();
  const { signal } = context;
  assertEquals([signal.aborted, context.signal === signal], [false, true]);
  host.stop("shutdown");
  assertEquals(signal.aborted, true);
});

Deno.test("ProgramContext.signal is aborted for whoever asks after the end", () => {
  for (const end of ["stop", "exit", "abandon"] as const) {
    const { host, context } = started();
    if (end === "abandon") host.abandon();
    else host[end]("shutdown");
    assertEquals([end, context.signal.aborted], [end, true]);
  }
});

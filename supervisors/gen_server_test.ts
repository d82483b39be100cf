import { assertEquals, assertRejects } from "@std/assert";
import { formatReason } from "./exit_reason.ts";
import { replyLater, startServer } from "./gen_server.ts";
import { ManualRuntime } from "./manual_runtime.ts";
import { DownNotice, ExitNotice, spawn } from "./process.ts";
import type { ReplyTo } from "./reply_to.ts";
import { systemRuntime } from "./runtime.ts";
import { SupervisorError } from "./supervisor_error.ts";

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error = await assertRejects(() => promise, SupervisorError);
  return (error as SupervisorError).code;
}

Deno.test("GenServer answers calls and takes casts in the order they come", async () => {
  let count = 0;
  const server = await startServer<string, number, number>({
    handleCall: () => count,
    handleCast: (by) => {
      count += by;
    },
  });
  server.cast(2);
  const first = server.call("read");
  server.cast(40);
  assertEquals(await first, 2);
  assertEquals(await server.call("read"), 42);
  server.kill();
});

Deno.test("GenServer handles the next message only when an asynchronous handler has finished", async () => {
  const log: string[] = [];
  const gate = Promise.withResolvers<void>();
  const server = await startServer<string, string>({
    async handleCall(request) {
      log.push(`${request} begins`);
      if (request === "slow") await gate.promise;
      log.push(`${request} ends`);
      return request;
    },
  });
  const calls = [server.call("slow"), server.call("fast")];
  await new Promise((resolve) => setTimeout(resolve, 1));
  assertEquals(log, ["slow begins"]);
  gate.resolve();
  assertEquals(await Promise.all(calls), ["slow", "fast"]);
  assertEquals(log, ["slow begins", "slow ends", "fast begins", "fast ends"]);
  server.kill();
});

Deno.test("GenServer answers later, out of order, and each call once", async () => {
  const held: ReplyTo<string>[] = [];
  const server = await startServer<string, string>({
    handleCall(request, from) {
      held.push(from);
      return request === "now" ? "at once" : replyLater;
    },
  });
  const first = server.call("later");
  const second = server.call("later");
  assertEquals(await server.call("now"), "at once");
  held[1]!.reply("second");
  held[0]!.fail(new RangeError("first"));
  held[0]!.reply("too late");
  assertEquals(await second, "second");
  await assertRejects(() => first, RangeError, "first");
  server.kill();
});

Deno.test("GenServer.call() rejects at its deadline, and the call is not handled any more", async () => {
  const runtime = new ManualRuntime();
  const handled: string[] = [];
  const gate = Promise.withResolvers<void>();
  const server = await startServer<string, void>({
    async handleCall(request) {
      handled.push(request);
      if (request === "slow") await gate.promise;
    },
  }, { runtime });
  const slow = codeOf(server.call("slow", { timeoutMs: 100 }));
  const late = codeOf(server.call("late", { timeoutMs: 100 }));
  await runtime.advance(99);
  assertEquals(runtime.pendingTimers, 2);
  await runtime.advance(1);
  assertEquals([await slow, await late], ["timeout", "timeout"]);
  gate.resolve();
  await runtime.settle();
  assertEquals(handled, ["slow"]);
  assertEquals(server.exitReason, undefined);
  server.kill();
});

Deno.test("GenServer.call() rejects with noproc once the server has ended", async () => {
  const server = await startServer({});
  server.kill();
  assertEquals(await codeOf(server.call("anybody?")), "noproc");
});

Deno.test("GenServer.call() rejects with exited when the server crashes, which names the cause", async () => {
  const runtime = new ManualRuntime();
  const server = await startServer<string>({
    handleCall(request) {
      if (request === "hold") return replyLater;
      throw new RangeError("no such shelf");
    },
  }, { runtime });
  const held = codeOf(server.call("hold"));
  const error = await assertRejects(
    () => server.call("crash"),
    SupervisorError,
    "no such shelf",
  ) as SupervisorError;
  assertEquals(error.code, "exited");
  assertEquals(await held, "exited");
  assertEquals(
    formatReason(server.exitReason!),
    "crash (RangeError: no such shelf)",
  );
  assertEquals(runtime.pendingTimers, 0);
});

Deno.test("GenServer.call() rejects with overload when the mailbox is full", async () => {
  const server = await startServer<string, string>({
    handleCall: () => replyLater,
  }, { mailboxMax: 2 });
  const first = codeOf(server.call("1"));
  const second = codeOf(server.call("2"));
  assertEquals(server.cast("3"), false);
  assertEquals(await codeOf(server.call("4")), "overload");
  server.kill();
  assertEquals([await first, await second], ["exited", "exited"]);
});

Deno.test("startServer() rejects when init fails, and tells why", async () => {
  for (
    const init of [
      () => {
        throw new Error("no disk");
      },
      () => Promise.reject(new Error("no disk")),
    ]
  ) {
    const error = await assertRejects(
      () => startServer({ init }, { name: "store" }),
      SupervisorError,
      "no disk",
    ) as SupervisorError;
    assertEquals(error.code, "start_failed");
  }
});

Deno.test("GenServer finishes its message, cleans up, and exits when asked to stop", async () => {
  const log: string[] = [];
  const server = await startServer<unknown, unknown, number>({
    handleCast: (n) => {
      log.push(`cast ${n}`);
    },
    async terminate(reason) {
      await Promise.resolve();
      log.push(`terminate ${formatReason(reason)}`);
    },
  });
  server.cast(1);
  // It takes a message in what was deferred before this.
  await new Promise<void>((resolve) => systemRuntime.defer(resolve));
  server.cast(2);
  server.stop("shutdown");
  await new Promise<unknown>((resolve) => server.onExit(resolve));
  assertEquals(log, ["cast 1", "terminate shutdown"]);
  assertEquals(server.exitReason, "shutdown");
});

Deno.test("GenServer gets notices of links and monitors as info", async () => {
  const runtime = new ManualRuntime();
  const seen: string[] = [];
  const linked = spawn(() => {}, { runtime });
  const watched = spawn(() => {}, { runtime });
  const server = await startServer({
    init(self) {
      self.link(linked);
      self.monitor(watched);
    },
    handleInfo(info) {
      if (info instanceof ExitNotice) seen.push(`exit ${info.reason}`);
      else if (info instanceof DownNotice) seen.push(`down ${info.reason}`);
      else seen.push(`info ${info}`);
    },
  }, { runtime, trapExits: true });
  linked.exit("killed");
  watched.exit("normal");
  server.info("tick");
  await runtime.settle();
  assertEquals(seen.toSorted(), ["down normal", "exit killed", "info tick"]);
  server.kill();
});

import { assertEquals } from "@std/assert";
import { ChildBase, type ExitListener } from "./child.ts";
import { crash, type ExitReason, formatReason } from "./exit_reason.ts";
import { ManualRuntime } from "./manual_runtime.ts";
import { DownNotice, ExitNotice, type Process, spawn } from "./process.ts";

const runtime = new ManualRuntime();
const idle = (options = {}): Process =>
  spawn(() => {}, { runtime, ...options });

Deno.test("Process takes messages in order, a turn after they were sent", async () => {
  const taken: unknown[] = [];
  const process = spawn<number>((message) => {
    taken.push(message);
  }, { runtime });
  for (let i = 0; i < 20; i++) process.send(i);
  assertEquals(taken, []);
  assertEquals(process.mailboxLength, 20);
  await runtime.settle();
  assertEquals(taken, Array.from({ length: 20 }, (_, i) => i));
  process.kill();
});

Deno.test("Process.send() refuses what the mailbox has no room for", async () => {
  const taken: number[] = [];
  const process = spawn<number>((message) => {
    taken.push(message as number);
  }, { runtime, mailboxMax: 2 });
  assertEquals([1, 2, 3].map((n) => process.send(n)), [true, true, false]);
  await runtime.settle();
  assertEquals(process.send(4), true);
  await runtime.settle();
  assertEquals(taken, [1, 2, 4]);
  process.kill();
  assertEquals(process.send(5), true);
});

Deno.test("Process ends with what receive throws or rejects with", async () => {
  for (
    const receive of [
      () => {
        throw new Error("boom");
      },
      () => Promise.reject(new Error("boom")),
    ]
  ) {
    const process = spawn(receive, { runtime });
    process.send("go");
    await runtime.settle();
    assertEquals(formatReason(process.exitReason!), "crash (Error: boom)");
  }
});

Deno.test("Process tells each listener once, also one that comes late", () => {
  const process = idle();
  const heard: string[] = [];
  process.onExit((reason) => heard.push(`a ${reason}`));
  process.onExit((reason) => heard.push(`b ${reason}`));
  process.onExit((reason) => heard.push(`c ${reason}`));
  process.exit("normal");
  process.exit("killed");
  process.kill();
  process.onExit((reason) => heard.push(`d ${reason}`));
  assertEquals(heard, ["a normal", "b normal", "c normal", "d normal"]);
});

for (
  const [reason, falls] of [
    ["normal", false],
    ["shutdown", true],
    ["killed", true],
    [crash(new Error("x")), true],
  ] as const
) {
  Deno.test(`Process ${falls ? "falls with" : "outlives"} a linked one that exits with ${formatReason(reason)}`, async () => {
    const a = idle();
    const b = idle();
    const c = idle();
    a.link(b);
    b.link(c);
    a.exit(reason);
    // A signal takes a turn: nobody dies inside another's.
    assertEquals(b.exitReason, undefined);
    await runtime.settle();
    assertEquals(b.exitReason, falls ? reason : undefined);
    assertEquals(c.exitReason, falls ? reason : undefined);
    b.kill();
    c.kill();
    await runtime.settle();
  });
}

Deno.test("Process that traps exits gets them as notices", async () => {
  const notices: unknown[] = [];
  const trapping = spawn((notice) => {
    notices.push(notice);
  }, { runtime, trapExits: true });
  const others = [idle(), idle()];
  for (const other of others) trapping.link(other);
  others[0]!.exit("normal");
  others[1]!.exit("killed");
  await runtime.settle();
  assertEquals(notices, [
    new ExitNotice(others[0]!, "normal"),
    new ExitNotice(others[1]!, "killed"),
  ]);
  assertEquals(trapping.exitReason, undefined);
  trapping.kill();
});

Deno.test("Process leaves no listener behind on what it watched", () => {
  const listeners = new Set<ExitListener>();
  class Counted extends ChildBase {
    readonly kind = "worker";
    override onExit(listener: ExitListener): void {
      listeners.add(listener);
      super.onExit(listener);
    }
    override offExit(listener: ExitListener): void {
      listeners.delete(listener);
      super.offExit(listener);
    }
    stop(): void {}
    kill(): void {}
  }
  const target = new Counted();
  for (let i = 0; i < 10; i++) {
    const process = idle();
    process.link(target);
    process.monitor(target);
    process.demonitor(process.monitor(target));
    if (i % 2 === 0) process.unlink(target);
    process.exit("normal");
  }
  assertEquals(listeners.size, 0);
  assertEquals(target.exitReason, undefined);
});

Deno.test("Process falls with a linked child of another kind, and stops it when it falls itself", async () => {
  class Other extends ChildBase {
    readonly kind = "worker";
    stop(reason: ExitReason): void {
      this.end(reason);
    }
    kill(): void {
      this.end("killed");
    }
  }
  const process = idle();
  const fallen = new Other();
  process.link(fallen);
  fallen.kill();
  await runtime.settle();
  assertEquals(process.exitReason, "killed");
  const second = idle();
  const survivor = new Other();
  second.link(survivor);
  second.exit("shutdown");
  assertEquals(survivor.exitReason, "shutdown");
});

Deno.test("Process.link() to one that has ended is a signal of noproc", async () => {
  const gone = idle();
  gone.exit("normal");
  const process = idle();
  process.link(gone);
  await runtime.settle();
  assertEquals(process.exitReason, "noproc");
});

Deno.test("Process.unlink() unties both ends", async () => {
  const a = idle();
  const b = idle();
  a.link(b);
  b.unlink(a);
  a.exit("killed");
  await runtime.settle();
  assertEquals(b.exitReason, undefined);
  b.kill();
});

Deno.test("Process.link() chains of any length fall without exhausting the stack", async () => {
  const chain = Array.from({ length: 20_000 }, () => idle());
  for (let i = 1; i < chain.length; i++) chain[i]!.link(chain[i - 1]!);
  chain[0]!.exit("shutdown");
  await runtime.settle();
  assertEquals(chain.every((p) => p.exitReason === "shutdown"), true);
});

Deno.test("Process.monitor() tells of the end once, and of one that had ended as noproc", async () => {
  const downs: unknown[] = [];
  const watcher = spawn((notice) => {
    downs.push(notice);
  }, { runtime, mailboxMax: 0 });
  const target = idle();
  const first = watcher.monitor(target);
  const second = watcher.monitor(target);
  const taken = watcher.monitor(target);
  watcher.demonitor(taken);
  target.exit("normal");
  const late = watcher.monitor(target);
  await runtime.settle();
  // Notices come though the mailbox has no room for messages.
  assertEquals(downs, [
    new DownNotice(first, target, "normal"),
    new DownNotice(second, target, "normal"),
    new DownNotice(late, target, "noproc"),
  ]);
  watcher.kill();
});

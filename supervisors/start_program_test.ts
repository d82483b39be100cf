import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import type { ChildKind } from "./child.ts";
import type { ExitReason, RemoteError } from "./exit_reason.ts";
import type { ProgramChild, StartProgramOptions } from "./program.ts";
import { startProgram } from "./start_program.ts";
import { startSupervisor } from "./supervisor.ts";
import { SupervisorError } from "./supervisor_error.ts";
import type { Behaviour } from "./testdata/program.ts";

const MODULE = new URL("./testdata/program.ts", import.meta.url);
const PLACEMENTS: readonly ChildKind[] = ["task", "worker", "subprocess"];
/** Kinds whose crashes are their own. */
const ISOLATED: readonly ChildKind[] = ["worker", "subprocess"];

function start(
  placement: ChildKind,
  behaviour: Behaviour,
  options: Partial<StartProgramOptions> = {},
): Promise<ProgramChild> {
  return startProgram({
    placement,
    module: MODULE,
    args: behaviour,
    name: behaviour,
    permissions: ["--allow-read"],
    ...options,
  });
}

function exitOf(child: ProgramChild): Promise<ExitReason> {
  return new Promise((resolve) => child.onExit(resolve));
}

function nextMessage(child: ProgramChild): Promise<string> {
  return new Promise((resolve) =>
    child.onMessage((message) => resolve(new TextDecoder().decode(message)))
  );
}

const hello = (): Uint8Array<ArrayBuffer> => new TextEncoder().encode("hello");

/** The error a crash carried; fails if the reason is no crash. */
function errorOf(
  reason: ExitReason,
): { name: string; message: string; code?: string; details?: unknown } {
  if (typeof reason === "string" || reason.type !== "crash") {
    throw new Error(`expected a crash, got ${JSON.stringify(reason)}`);
  }
  return reason.error;
}

for (const placement of PLACEMENTS) {
  Deno.test(`startProgram() as ${placement} exchanges messages and stops when asked`, async () => {
    const child = await start(placement, "echo");
    assertEquals(child.kind, placement);
    assertEquals(child.pid === undefined, placement !== "subprocess");
    const echoed = nextMessage(child);
    const message = hello();
    child.send(message);
    assertEquals(await echoed, "hello");
    // The buffer is given away where there is a border to carry it over.
    if (placement === "worker") assertEquals(message.byteLength, 0);
    child.stop("shutdown");
    assertEquals(await exitOf(child), "shutdown");
    child.send(hello());
    child.send(hello());
    assertEquals(child.droppedMessages, 2);
    child.kill();
    assertEquals(child.exitReason, "shutdown");
  });

  Deno.test(`startProgram() as ${placement} carries a part of a larger buffer`, async () => {
    const child = await start(placement, "echo");
    const echoed = nextMessage(child);
    child.send(new TextEncoder().encode(">>hello<<").subarray(2, 7));
    assertEquals(await echoed, "hello");
    child.stop("normal");
    assertEquals(await exitOf(child), "normal");
  });

  Deno.test(`startProgram() as ${placement} rejects with what the program threw`, async () => {
    const error = await assertRejects(
      () => start(placement, "throw on start"),
    ) as SupervisorError;
    assertInstanceOf(error, SupervisorError);
    assertEquals(error.code, "start_failed");
    assertStringIncludes(error.message, MODULE.href);
    assertStringIncludes(error.message, "cannot even start");
    assertEquals((error.cause as Error).name, "RangeError");
    assertStringIncludes(
      (error.cause as RemoteError).remoteStack ?? "",
      "testdata/program.ts",
    );
  });

  Deno.test(`startProgram() as ${placement} rejects when the module is missing`, async () => {
    const module = new URL("./testdata/no_such_module.ts", import.meta.url);
    const error = await assertRejects(
      () => start(placement, "echo", { module }),
    ) as SupervisorError;
    assertEquals(error.code, "start_failed");
    assertStringIncludes(error.message, "no_such_module.ts");
  });

  Deno.test(`startProgram() as ${placement} rejects a module that exports no program`, async () => {
    const module = new URL("./exit_reason.ts", import.meta.url);
    const error = await assertRejects(
      () => start(placement, "echo", { module }),
    ) as SupervisorError;
    assertStringIncludes(error.message, "must export a function by default");
  });

  Deno.test(`startProgram() as ${placement} gives up on a program that does not start in time`, async () => {
    const zombies: string[] = [];
    const error = await assertRejects(
      () =>
        start(placement, "never start", {
          startTimeoutMs: 400,
          onZombie: (child) => zombies.push(child.name),
        }),
    ) as SupervisorError;
    assertEquals(error.code, "start_failed");
    assertEquals((error.cause as SupervisorError).code, "timeout");
    // It waits, it does not hang.
    assertEquals(zombies, []);
  });

  Deno.test(`startProgram() as ${placement} gives up when its signal fires`, async () => {
    const controller = new AbortController();
    const starting = start(placement, "never start", {
      signal: controller.signal,
    });
    controller.abort();
    await assertRejects(() => starting, SupervisorError, "killed");
  });

  Deno.test(`startProgram() as ${placement} refuses arguments that are no plain data`, async () => {
    const error = await assertRejects(
      () => start(placement, "echo", { args: { call: () => {} } }),
    ) as SupervisorError;
    assertEquals(error.code, "start_failed");
  });

  Deno.test(`ProgramChild as ${placement} crashes with what a message handler throws`, async () => {
    const child = await start(placement, "throw");
    child.send(hello());
    const { name, message, code } = errorOf(await exitOf(child));
    assertEquals([name, message, code], ["TypeError", "sync", "E_SYNC"]);
  });

  Deno.test(`ProgramChild as ${placement} crashes with what a message handler rejects with`, async () => {
    const child = await start(placement, "reject in handler");
    child.send(hello());
    assertEquals(errorOf(await exitOf(child)).message, "late");
  });

  Deno.test(`ProgramChild as ${placement} delivers its messages before its exit, with its reason`, async () => {
    const child = await start(placement, "exit");
    const events: string[] = [];
    let others = 0;
    child.onMessage((message) => {
      if (message.length === 10_000) others++;
      else events.push(new TextDecoder().decode(message));
    });
    child.onExit(() => events.push("exit"));
    child.send(hello());
    assertEquals(await exitOf(child), {
      type: "shutdown",
      detail: { tired: true },
    });
    assertEquals(events, ["last word", "exit"]);
    assertEquals(others, 500);
  });

  Deno.test(`ProgramChild as ${placement} tells the program why it stops, signal first`, async () => {
    const child = await start(placement, "report stop");
    const words: string[] = [];
    child.onMessage((message) => words.push(new TextDecoder().decode(message)));
    child.stop({ type: "shutdown", detail: "moving" });
    assertEquals(await exitOf(child), { type: "shutdown", detail: "moving" });
    assertEquals(words[0], "signal");
    assertStringIncludes(words[1]!, "shutdown");
  });

  Deno.test(`ProgramChild as ${placement} crashes when its stop throws`, async () => {
    const child = await start(placement, "throw on stop");
    child.stop("shutdown");
    assertEquals(errorOf(await exitOf(child)).message, "will not stop well");
  });

  Deno.test(`ProgramChild as ${placement} that never finishes stopping is killed after its shutdown time`, async () => {
    const zombies: string[] = [];
    const supervisor = await startSupervisor({
      children: [{
        id: "stubborn",
        shutdown: 600,
        start: (signal) =>
          start(placement, "never stop", {
            signal,
            onZombie: (child) => zombies.push(child.name),
          }),
      }],
    });
    const child = supervisor.child("stubborn") as ProgramChild;
    const startedMs = performance.now();
    await supervisor.shutdown();
    assert(performance.now() - startedMs >= 599);
    assertEquals(child.exitReason, "killed");
    // Its thread answered that it had heard, so it does not spin.
    assertEquals(zombies, []);
  });

  Deno.test(`ProgramChild as ${placement} keeps messages until somebody takes them`, async () => {
    const child = await start(placement, "flood");
    child.send(hello());
    let bytes = 0;
    let count = 0;
    const all = Promise.withResolvers<void>();
    // A turn later, so that some have arrived unasked for.
    setTimeout(() =>
      child.onMessage((message) => {
        assertEquals(message[0], count);
        bytes += message.length;
        if (++count === 100) all.resolve();
      }), 50);
    await all.promise;
    assertEquals(bytes, 10_000_000);
    assertEquals(child.droppedMessages, 0);
    child.kill();
    assertEquals(await exitOf(child), "killed");
  });
}

for (const placement of ISOLATED) {
  for (
    const [behaviour, message] of [
      ["throw in timer", "timer"],
      ["reject", "rejection"],
    ] as const
  ) {
    Deno.test(`ProgramChild as ${placement} crashes alone on ${behaviour}, and is restarted`, async () => {
      const exits: ExitReason[] = [];
      const restarted = Promise.withResolvers<void>();
      await using supervisor = await startSupervisor({
        children: [{
          id: "program",
          start: (signal) => start(placement, behaviour, { signal }),
        }],
        onReport: (report) => {
          if (report.type === "child_exited") exits.push(report.reason);
          if (report.type === "child_started" && report.restarts === 1) {
            restarted.resolve();
          }
        },
      });
      const first = supervisor.child("program") as ProgramChild;
      first.send(hello());
      await restarted.promise;
      assertEquals(errorOf(exits[0]!).message, message);
      const second = supervisor.child("program") as ProgramChild;
      assert(second !== first);
      assertEquals(second.exitReason, undefined);
    });
  }
}

Deno.test("ProgramChild as worker announces self.close(), of which Deno says nothing", async () => {
  const child = await start("worker", "close");
  child.send(hello());
  assertEquals(await exitOf(child), "normal");
  assertEquals(child.zombie, false);
});

Deno.test("ProgramChild as worker that went without a word is found by its heartbeat", async () => {
  // Deno.exit() in a worker ends the worker and raises no event.
  const child = await start("worker", "exit process", {
    heartbeat: { intervalMs: 50, timeoutMs: 300 },
  });
  child.send(hello());
  assertEquals(await exitOf(child), "killed");
  assertEquals(child.zombie, true);
});

Deno.test("ProgramChild as worker stays alive over many heartbeats", async () => {
  const child = await start("worker", "echo", {
    heartbeat: { intervalMs: 10, timeoutMs: 2_000 },
  });
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  assertEquals(child.exitReason, undefined);
  child.stop("shutdown");
  assertEquals(await exitOf(child), "shutdown");
});

Deno.test("ProgramChild as subprocess crashes with its exit code", async () => {
  const child = await start("subprocess", "exit process");
  child.send(hello());
  const { name, details } = errorOf(await exitOf(child));
  assertEquals([name, details], ["SubprocessExit", { code: 7 }]);
});

Deno.test("ProgramChild as subprocess that is killed from outside is restarted", async () => {
  const exits: ExitReason[] = [];
  const restarted = Promise.withResolvers<void>();
  await using supervisor = await startSupervisor({
    children: [{
      id: "program",
      restart: "transient",
      start: (signal) => start("subprocess", "echo", { signal }),
    }],
    onReport: (report) => {
      if (report.type === "child_exited") exits.push(report.reason);
      if (report.type === "child_started" && report.restarts === 1) {
        restarted.resolve();
      }
    },
  });
  const first = supervisor.child("program") as ProgramChild;
  Deno.kill(first.pid!, "SIGKILL");
  await restarted.promise;
  assertEquals(exits, ["killed"]);
  const second = supervisor.child("program") as ProgramChild;
  assert(second.pid !== first.pid);
});

Deno.test("ProgramChild as subprocess stops in order on SIGTERM from outside", async () => {
  const child = await start("subprocess", "report stop");
  const words: string[] = [];
  child.onMessage((message) => words.push(new TextDecoder().decode(message)));
  Deno.kill(child.pid!, "SIGTERM");
  assertEquals(await exitOf(child), "shutdown");
  assertEquals(words, ["signal", 'stop "shutdown"']);
});

Deno.test("ProgramChild as subprocess ignores SIGINT, which is its parent's to handle", async () => {
  const child = await start("subprocess", "echo");
  Deno.kill(child.pid!, "SIGINT");
  const echoed = nextMessage(child);
  child.send(hello());
  assertEquals(await echoed, "hello");
  child.stop("shutdown");
  assertEquals(await exitOf(child), "shutdown");
});

Deno.test("ProgramChild as subprocess under SIGSTOP is found by its heartbeat and killed", async () => {
  const child = await start("subprocess", "echo", {
    heartbeat: { intervalMs: 50, timeoutMs: 400 },
  });
  const startedMs = performance.now();
  Deno.kill(child.pid!, "SIGSTOP");
  assertEquals(await exitOf(child), "killed");
  assert(performance.now() - startedMs < 2_000);
  // A process can always be ended, so it leaves no zombie.
  assertEquals(child.zombie, false);
  assertEquals(isRunning(child.pid!), false);
});

Deno.test("ProgramChild as subprocess in an endless loop is found by its heartbeat and killed", async () => {
  const child = await start("subprocess", "loop", {
    heartbeat: { intervalMs: 50, timeoutMs: 400 },
  });
  child.send(hello());
  assertEquals(await exitOf(child), "killed");
  assertEquals(isRunning(child.pid!), false);
});

Deno.test("ProgramChild as subprocess keeps what it prints off the messages", async () => {
  const lines: string[] = [];
  const child = await start("subprocess", "print", {
    onLog: (line) => lines.push(line),
  });
  const echoed = nextMessage(child);
  child.send(hello());
  assertEquals(await echoed, "hello");
  child.stop("shutdown");
  assertEquals(await exitOf(child), "shutdown");
  assertEquals(lines[0], "to the console");
  assert(lines.includes("to stdout"), lines.join("\n"));
  assert(lines.includes("to node's stdout"), lines.join("\n"));
});

Deno.test("ProgramChild as subprocess is killed when it writes between its messages", async () => {
  const child = await start("subprocess", "garble", {
    permissions: ["--allow-all"],
  });
  child.send(hello());
  assertEquals(await exitOf(child), "killed");
});

Deno.test("ProgramChild as subprocess is killed when it lets too much pile up", async () => {
  const child = await start("subprocess", "echo", {
    unreadBytesMax: 1_000_000,
  });
  Deno.kill(child.pid!, "SIGSTOP");
  for (let i = 0; i < 40 && child.exitReason === undefined; i++) {
    child.send(new Uint8Array(100_000));
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  assertEquals(await exitOf(child), "killed");
});

Deno.test("ProgramChild as subprocess gets no permission beyond those given", async () => {
  const error = await assertRejects(
    () => start("subprocess", "echo", { permissions: ["--allow-env"] }),
  ) as SupervisorError;
  assertEquals(error.code, "start_failed");
  assertStringIncludes(error.message, "read");
});

/** Whether the operating system still knows the process. */
function isRunning(pid: number): boolean {
  try {
    Deno.kill(pid, "SIGCONT");
    return true;
  } catch {
    return false;
  }
}

/** Runs `script`, a file of testdata, in a Deno process of its own and returns what it prints. */
async function runAlone(script: string): Promise<string> {
  const { stdout, stderr, code } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--allow-all",
      new URL(`./testdata/${script}`, import.meta.url).href,
    ],
  }).output();
  const text = new TextDecoder();
  assertEquals(code, 0, text.decode(stderr));
  return text.decode(stdout).trim();
}

Deno.test("startProgram() works in every placement when the library is imported over HTTP", async () => {
  const root = new URL("./", import.meta.url);
  await using server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen() {} },
    async (request) => {
      const { pathname } = new URL(request.url);
      const file = new URL(`.${pathname}`, root);
      try {
        return new Response(await Deno.readFile(file), {
          headers: { "content-type": "application/typescript" },
        });
      } catch {
        return new Response("no such file", { status: 404 });
      }
    },
  );
  const home = await Deno.makeTempDir();
  try {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--allow-all",
        `http://127.0.0.1:${server.addr.port}/testdata/placements.ts`,
      ],
      cwd: home,
      // A port is reused some day; what was cached for it must not be.
      env: { DENO_DIR: `${home}/cache` },
    }).output();
    assertEquals(code, 0, new TextDecoder().decode(stderr));
    assertEquals(
      new TextDecoder().decode(stdout),
      "task: hello\nworker: hello\nsubprocess: hello\n",
    );
  } finally {
    await Deno.remove(home, { recursive: true });
  }
});

Deno.test("ProgramChild as worker in an endless loop becomes a zombie and is replaced", async () => {
  // In a process of its own, because only its exit ends the thread.
  assertEquals((await runAlone("hung_worker.ts")).split("\n"), [
    "zombie: loop",
    "child_exited program: killed",
    "child_started program: 1",
    "zombies in the tree: 1",
    "the replacement says: hello",
  ]);
});

Deno.test("startProgram() as worker reports a zombie when the module hangs while it starts", async () => {
  assertEquals((await runAlone("hung_start.ts")).split("\n"), [
    "zombie: loop on start",
    "start_failed: it did not start within 50 ms",
  ]);
});

Deno.test("ProgramChild as subprocess ends when its parent is killed", async () => {
  const parent = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--allow-all",
      new URL("./testdata/parent.ts", import.meta.url).href,
    ],
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const output = parent.stdout.getReader();
  const { value } = await output.read();
  const pid = Number(new TextDecoder().decode(value));
  assert(isRunning(pid), `no process ${pid}`);
  // The grandchild holds the same stderr, so that ends when both have.
  const bothEnded = new Response(parent.stderr).text();
  parent.kill("SIGKILL");
  await parent.status;
  await output.cancel();
  let killed = false;
  const rescue = setTimeout(() => {
    killed = true;
    Deno.kill(pid, "SIGKILL");
  }, 5_000);
  assertEquals(await bothEnded, "");
  clearTimeout(rescue);
  assertEquals(killed, false);
});

/**
 * What supervision costs: a coordinator of a request is a temporary child of a
 * dynamic supervisor, so starting and ending one has to be nearly free.
 *
 *     deno bench --allow-read --allow-run bench/supervisor_bench.ts
 *
 * @module
 */
import {
  ChildBase,
  DynamicSupervisor,
  type ExitReason,
  Process,
  type ProgramChild,
  startProgram,
  startServer,
  startSupervisor,
} from "../supervisors/mod.ts";

/** The least a child can be. */
class Coordinator extends ChildBase {
  readonly kind = "task";
  constructor(readonly id: number) {
    super();
  }
  stop(reason: ExitReason): void {
    this.end(reason);
  }
  kill(): void {
    this.end("killed");
  }
  finish(): void {
    this.end("normal");
  }
}

class IdleProcess extends Process {
  protected override receive(): void {}
}

const BATCH = 1_000;

const coordinators = new DynamicSupervisor({
  start: (id: number) => new Coordinator(id),
  maxChildren: 100_000,
});
const busy = new DynamicSupervisor({
  start: (id: number) => new Coordinator(id),
  maxChildren: 100_000,
});
for (let id = 0; id < 10_000; id++) busy.startChild(id);
const processes = new DynamicSupervisor({
  start: () => new IdleProcess(),
  maxChildren: 100_000,
});

Deno.bench({
  name: "1,000 temporary children, started and ended one by one",
  group: "child",
  baseline: true,
  fn() {
    for (let id = 0; id < BATCH; id++) {
      coordinators.startChild(id).finish();
    }
  },
});

Deno.bench({
  name: "1,000 temporary children, all alive at once",
  group: "child",
  fn() {
    const children: Coordinator[] = [];
    for (let id = 0; id < BATCH; id++) {
      children.push(coordinators.startChild(id));
    }
    for (const child of children) child.finish();
  },
});

Deno.bench({
  name: "1,000 temporary children beside 10,000 others",
  group: "child",
  fn() {
    for (let id = 0; id < BATCH; id++) {
      busy.startChild(id).finish();
    }
  },
});

Deno.bench({
  name: "1,000 processes with mailbox, links and monitors unused",
  group: "child",
  fn() {
    for (let i = 0; i < BATCH; i++) {
      processes.startChild().exit("normal");
    }
  },
});

const server = await startServer<number, number, number>({
  handleCall: (request) => request + 1,
  handleCast() {},
});

Deno.bench({
  name: "1,000 casts to a server",
  group: "server",
  async fn() {
    for (let i = 0; i < BATCH; i++) server.cast(i);
    await server.call(0);
  },
});

Deno.bench({
  name: "a call to a server",
  group: "server",
  async fn() {
    await server.call(1);
  },
});

const module = new URL("../supervisors/testdata/program.ts", import.meta.url);
const echo = await startProgram({ placement: "task", module, args: "echo" });

Deno.bench({
  name: "a message to a task and back",
  group: "program",
  async fn() {
    const { promise, resolve } = Promise.withResolvers<Uint8Array>();
    echo.onMessage(resolve);
    echo.send(new Uint8Array(128));
    await promise;
  },
});

Deno.bench({
  name: "a worker that crashes, until its replacement runs",
  group: "program",
  n: 30,
  async fn(bench) {
    const restarted = Promise.withResolvers<void>();
    const supervisor = await startSupervisor({
      children: [{
        id: "worker",
        start: (signal) =>
          startProgram({ placement: "worker", module, args: "throw", signal }),
      }],
      onReport: (report) => {
        if (report.type === "child_started" && report.restarts === 1) {
          restarted.resolve();
        }
      },
    });
    bench.start();
    (supervisor.child("worker") as ProgramChild).send(new Uint8Array(1));
    await restarted.promise;
    bench.end();
    supervisor.kill();
  },
});

Deno.bench({
  name: "a subprocess that is killed, until its replacement runs",
  group: "program",
  n: 30,
  async fn(bench) {
    const restarted = Promise.withResolvers<void>();
    const supervisor = await startSupervisor({
      children: [{
        id: "subprocess",
        start: (signal) =>
          startProgram({
            placement: "subprocess",
            module,
            args: "echo",
            signal,
          }),
      }],
      onReport: (report) => {
        if (report.type === "child_started" && report.restarts === 1) {
          restarted.resolve();
        }
      },
    });
    bench.start();
    Deno.kill((supervisor.child("subprocess") as ProgramChild).pid!, "SIGKILL");
    await restarted.promise;
    bench.end();
    await supervisor.shutdown();
  },
});

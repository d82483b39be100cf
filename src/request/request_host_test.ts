import { assertEquals } from "@std/assert";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import { type Log, silentLog } from "../environment/log.ts";
import { ringViewOf } from "../ring/ring_view.ts";
import { FrameType } from "../wire/frame_type.ts";
import { RequestHost } from "./request_host.ts";
import {
  Caller,
  KeptRoutes,
  MODULE_ID,
  operation,
} from "./testing/operations.ts";

function createHost(
  runtime: ManualRuntime,
  routes: KeptRoutes,
  firstSequence = 1,
  log: Log = silentLog,
): RequestHost {
  const host = new RequestHost({
    runtime,
    routes,
    log,
    objectModules: new Map(),
    requestsMax: 2,
    firstSequence,
  });
  host.setView(MODULE_ID, ringViewOf(1, Array(8).fill("a"), ["a"], "a"));
  return host;
}

function submit(host: RequestHost): Caller {
  const caller = new Caller();
  const bytes = operation();
  host.submit(bytes, 0, bytes.length, caller);
  return caller;
}

Deno.test("RequestHost answers for a coordinator that is killed, and the others go on", async () => {
  const runtime = new ManualRuntime();
  const routes = new KeptRoutes();
  const host = createHost(runtime, routes);
  const killed = submit(host);
  const kept = submit(host);
  const [first] = host.supervisor.whichChildren();
  first?.kill();
  assertEquals(killed.outcome, ["coordinator_lost"]);
  assertEquals(kept.outcome, []);
  assertEquals(host.size, 1);
  for (const { correlation } of routes.sent) {
    host.vnodeAnswer(
      FrameType.vnodeReply,
      correlation,
      new Uint8Array(1),
      0,
      1,
    );
  }
  assertEquals(killed.outcome, ["coordinator_lost"]);
  assertEquals(kept.outcome, ["done"]);
  await host.close();
  assertEquals(runtime.pendingTimers, 0);
});

Deno.test("RequestHost answers for all coordinators when their supervisor is killed", async () => {
  const runtime = new ManualRuntime();
  const host = createHost(runtime, new KeptRoutes());
  const callers = [submit(host), submit(host)];
  host.supervisor.kill();
  assertEquals(callers.map(({ outcome }) => outcome), [
    ["coordinator_lost"],
    ["coordinator_lost"],
  ]);
  assertEquals(host.size, 0);
  assertEquals(submit(host).outcome, ["closed"]);
  await host.close();
  assertEquals(runtime.pendingTimers, 0);
});

Deno.test("RequestHost answers with overload beyond its bound", async () => {
  const host = createHost(new ManualRuntime(), new KeptRoutes());
  submit(host);
  submit(host);
  assertEquals(submit(host).outcome, ["overload"]);
  const { started, refused } = host.counts;
  assertEquals({ started, refused }, { started: 2, refused: 1 });
  await host.close();
});

Deno.test("RequestHost goes on counting where the one before it stopped", async () => {
  const runtime = new ManualRuntime();
  const routes = new KeptRoutes();
  const before = createHost(runtime, routes);
  submit(before);
  const late = routes.sent.splice(0);
  before.supervisor.kill();
  const host = createHost(runtime, routes, before.nextSequence);
  const caller = submit(host);
  for (const { correlation } of late) {
    host.vnodeAnswer(
      FrameType.vnodeReply,
      correlation,
      new Uint8Array(1),
      0,
      1,
    );
  }
  assertEquals(caller.outcome, []);
  await before.close();
  await host.close();
  assertEquals(caller.outcome, ["closed"]);
});

Deno.test("RequestHost answers for a coordinator that meets a bug, and tells the log once a second", async () => {
  const runtime = new ManualRuntime();
  const lines: string[] = [];
  const log: Log = {
    ...silentLog,
    error: (message, data) => lines.push(`${message} ${JSON.stringify(data)}`),
  };
  const routes = new KeptRoutes();
  const host = createHost(runtime, routes, 1, log);
  routes.endVnodeRequest = () => {
    throw new Error("a bug");
  };
  const callers = [submit(host), submit(host), submit(host)];
  assertEquals(
    callers.map(({ outcome }) => outcome),
    callers.map(() => ["coordinator_lost"]),
  );
  assertEquals(host.size, 0);
  assertEquals(lines.length, 1);
  await runtime.advance(1_000);
  submit(host);
  assertEquals(lines.length, 2);
  assertEquals(lines[1]?.includes('"fallen":4'), true);
  assertEquals(lines[1]?.includes("a bug"), true);
  await host.close();
  assertEquals(runtime.pendingTimers, 0);
});

import { assertEquals } from "@std/assert";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import type { ProgramChild } from "../../supervisors/program.ts";
import { startProgram } from "../../supervisors/start_program.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import { silentLog } from "../environment/log.ts";
import { ringViewOf } from "../ring/ring_view.ts";
import { answerFailure } from "../vnode/vnode_master_link.ts";
import { VNODE_REQUEST_TIME_LEFT_OFFSET } from "../vnode/vnode_wire.ts";
import { FrameType } from "../wire/frame_type.ts";
import { OperationKind, writeOperationResult } from "./operation_codec.ts";
import { RequestHostLink } from "./request_host_link.ts";
import { requestHostProgram } from "./request_host_program.ts";
import {
  Caller,
  KeptRoutes,
  MODULE_ID,
  operation,
  type Sent,
} from "./testing/operations.ts";

const NODES = ["a@host", "b@host", "c@host"];
/** Every node owns every third partition. */
const OWNERS = Array.from({ length: 16 }, (_, i) => NODES[i % 3] as string);
const OBJECTS = new Map([[MODULE_ID, {
  merge: 2,
  objects: {
    nothing: new Uint8Array(1),
    check() {},
    merge: (a: Uint8Array) => a,
  },
}]]);

/** A link, a host that runs as a task, and vnodes operated by the test. */
class Setting implements AsyncDisposable {
  readonly runtime = new ManualRuntime();
  readonly routes = new KeptRoutes();
  readonly link = new RequestHostLink({
    runtime: this.runtime,
    routes: this.routes,
    requestsMax: 10,
    onEvent: () => {},
  });
  host: ProgramChild | undefined;
  #hostBound: number;

  private constructor(hostBound: number) {
    this.#hostBound = hostBound;
  }

  static async start(
    { self = "a@host", hostBound = 10 } = {},
  ): Promise<Setting> {
    const setting = new Setting(hostBound);
    setting.link.setView(MODULE_ID, ringViewOf(1, OWNERS, NODES, self));
    await setting.startHost();
    return setting;
  }

  async startHost(): Promise<void> {
    const { runtime, link } = this;
    const host = await startProgram({
      placement: "task",
      module: new URL("file:///no/module"),
      program: requestHostProgram({ log: silentLog }, OBJECTS),
      args: { requestsMax: this.#hostBound, firstSequence: link.nextSequence },
      onMessage: (message) => link.receive(message),
      runtime,
    });
    this.host = host;
    link.attach(host);
    host.onExit(() => link.detach("it ended"));
  }

  async submit(bytes = operation()): Promise<Caller> {
    const caller = new Caller();
    this.link.submit(bytes, 0, bytes.length, caller);
    await this.runtime.settle();
    return caller;
  }

  async answer(
    { correlation }: Sent,
    body: readonly number[] = [],
    type: number = FrameType.vnodeReply,
  ): Promise<void> {
    const bytes = new Uint8Array(body);
    this.link.vnodeAnswer(type, correlation, bytes, 0, bytes.length);
    await this.runtime.settle();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.host?.stop("shutdown");
    await this.runtime.settle();
    assertEquals(this.host?.exitReason === undefined, false);
    this.link.close();
    assertEquals(this.link.size, 0);
    assertEquals(this.runtime.pendingTimers, 0);
  }
}

Deno.test("requestHostProgram() coordinates a request through its node", async () => {
  await using setting = await Setting.start();
  const caller = await setting.submit();
  const { sent } = setting.routes;
  assertEquals(sent.map(({ to }) => to).sort(), NODES);
  await setting.answer(sent[0]!, [1]);
  assertEquals(caller.outcome, []);
  await setting.answer(sent[2]!, [3]);
  assertEquals(caller.outcome, ["done"]);
  const [{ replies, replicas }] = caller.results as [Caller["results"][0]];
  assertEquals(replies, [
    new Uint8Array([1]),
    undefined,
    new Uint8Array([3]),
  ]);
  assertEquals(
    replicas.map(({ node, state }) => [node, state]),
    sent.map(({ to }, i) => [to, i === 1 ? "missing" : "done"]),
  );
});

Deno.test("requestHostProgram() reports what each replica answered when a quorum cannot be met", async () => {
  await using setting = await Setting.start();
  const caller = await setting.submit(operation({ quorum: 3 }));
  const [, second] = setting.routes.sent;
  answerFailure(
    setting.link,
    second!.correlation,
    new WhorlError("vnode_crashed", "The vnode stopped"),
  );
  await setting.runtime.settle();
  assertEquals(caller.outcome, ["quorum_unavailable"]);
  const { details } = caller.errors[0] as WhorlError;
  assertEquals(details.option, "r");
  assertEquals(details.needed, 3);
  const answers = details.answers as Record<string, unknown>[];
  assertEquals(
    answers.map(({ node, state, code }) => [node, state, code]),
    setting.routes.sent.map(({ to }, i) =>
      i === 1 ? [to, "failed", "vnode_crashed"] : [to, "missing", undefined]
    ),
  );
});

Deno.test("requestHostProgram() answers with timeout when vnodes are silent", async () => {
  await using setting = await Setting.start();
  const caller = await setting.submit(operation({ timeLeftMs: 500 }));
  await setting.runtime.advance(490);
  assertEquals(caller.outcome, []);
  await setting.runtime.advance(30);
  assertEquals(caller.outcome, ["timeout"]);
  // Only the coordinator knows which replicas were asked.
  const { answers } = (caller.errors[0] as WhorlError).details;
  assertEquals((answers as unknown[]).length, 3);
});

Deno.test("requestHostProgram() stops waiting for the answers of a lost node", async () => {
  await using setting = await Setting.start();
  const caller = await setting.submit();
  const error = new WhorlError("connection_closed", "The connection ended");
  for (const node of NODES.slice(1)) setting.link.nodeLost(node, () => error);
  await setting.runtime.settle();
  assertEquals(caller.outcome, ["quorum_unavailable"]);
});

Deno.test("requestHostProgram() sends a write to a primary's node and passes its answer on", async () => {
  await using setting = await Setting.start({ self: "d@host" });
  const caller = await setting.submit(operation({ kind: OperationKind.put }));
  const [sent] = setting.routes.sent;
  assertEquals(setting.routes.sent.length, 1);
  assertEquals(sent?.what, "operation");
  assertEquals(setting.link.counts.forwarded, 1);
  const result = new ByteWriter(64);
  const object = new Uint8Array([7]);
  writeOperationResult(result, { object, replies: [], replicas: [] });
  await setting.answer(
    sent!,
    [...result.view()],
    FrameType.operationReply,
  );
  assertEquals(caller.results.map(({ object }) => object), [object]);
});

Deno.test("requestHostProgram() coordinates a write itself, in the time left, when its node cannot send it on", async () => {
  await using setting = await Setting.start({ self: "d@host" });
  setting.routes.beginOperation = () =>
    new WhorlError("overload", "Too much waits for it");
  const bytes = operation({ kind: OperationKind.put, timeLeftMs: 900 });
  const caller = new Caller();
  setting.link.submit(bytes, 0, bytes.length, caller);
  await setting.runtime.settle();
  const [sent] = setting.routes.sent;
  assertEquals([sent?.what, caller.outcome], ["vnode_request", []]);
  assertEquals(
    new DataView(sent!.bytes.buffer).getUint32(VNODE_REQUEST_TIME_LEFT_OFFSET),
    900,
  );
  for (let i = 0; i < setting.routes.sent.length; i++) {
    await setting.answer(setting.routes.sent[i]!, [1]);
  }
  assertEquals(caller.outcome, ["done"]);
  assertEquals(setting.link.counts, {
    started: 1,
    refused: 0,
    forwarded: 1,
    repairs: 0,
  });
});

Deno.test("requestHostProgram() also applies the host's own bound, because coordinators linger", async () => {
  await using setting = await Setting.start({ hostBound: 1 });
  const first = await setting.submit();
  const { sent } = setting.routes;
  await setting.answer(sent[0]!);
  await setting.answer(sent[1]!);
  assertEquals(first.outcome, ["done"]);
  const second = await setting.submit();
  assertEquals(second.outcome, ["overload"]);
  await setting.answer(sent[2]!);
  await setting.submit();
  const { started, refused } = setting.link.counts;
  assertEquals({ started, refused }, { started: 2, refused: 1 });
});

Deno.test("requestHostProgram() answers for a result that fits in no frame", async () => {
  await using setting = await Setting.start();
  const caller = await setting.submit(operation({ quorum: 3 }));
  const reply = new Uint8Array(6 * 1024 * 1024);
  for (const { correlation } of setting.routes.sent) {
    setting.link.vnodeAnswer(
      FrameType.vnodeReply,
      correlation,
      reply,
      0,
      reply.length,
    );
    await setting.runtime.settle();
  }
  assertEquals(caller.outcome, ["frame_too_large"]);
  // The withdrawn frame has left nothing behind.
  const next = await setting.submit(operation({ n: 1, quorum: 1 }));
  await setting.answer(setting.routes.sent.at(-1)!);
  assertEquals(next.outcome, ["done"]);
});

Deno.test("requestHostProgram() answers all requests in progress when it is stopped", async () => {
  await using setting = await Setting.start();
  const caller = await setting.submit();
  setting.host?.stop("shutdown");
  await setting.runtime.settle();
  assertEquals(caller.outcome, ["closed"]);
});

Deno.test("a late answer to a host that was killed never reaches a request of the next one", async () => {
  await using setting = await Setting.start();
  const lost = await setting.submit();
  const late = setting.routes.sent.splice(0);
  setting.host?.kill();
  await setting.runtime.settle();
  assertEquals(lost.outcome, ["coordinator_lost"]);
  await setting.startHost();
  const caller = await setting.submit();
  const own = setting.routes.sent;
  assertEquals(own.length, 3);
  for (const sent of late) await setting.answer(sent, [66]);
  assertEquals(caller.outcome, []);
  for (const sent of own) await setting.answer(sent, [1]);
  assertEquals(caller.outcome, ["done"]);
});

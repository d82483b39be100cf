import { assertEquals, assertThrows } from "@std/assert";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import { ringViewOf } from "../ring/ring_view.ts";
import { readRingView } from "../ring/ring_view_codec.ts";
import { RequestFlag, writeVnodeRequestHeader } from "../vnode/vnode_wire.ts";
import { readFailure, writeFailure } from "../wire/failure.ts";
import {
  beginFrame,
  endFrame,
  FRAME_BYTES_MAX,
  readFrames,
} from "../wire/frame.ts";
import { FrameType } from "../wire/frame_type.ts";
import {
  OPERATION_TIME_LEFT_OFFSET,
  OperationKind,
  writeOperationResult,
} from "./operation_codec.ts";
import { RequestHostLink } from "./request_host_link.ts";
import { REQUEST_BYTES_MAX } from "./coordinators.ts";
import { OPERATION_REFUSED } from "./request_host_wire.ts";
import {
  Caller,
  KeptRoutes,
  MODULE_ID,
  operation,
} from "./testing/operations.ts";

interface Frame {
  readonly type: number;
  readonly correlation: number;
  readonly body: Uint8Array<ArrayBuffer>;
}

/** The other end of the port, operated by the test. */
class FakeHost {
  readonly messages: Uint8Array<ArrayBuffer>[] = [];

  send(message: Uint8Array<ArrayBuffer>): void {
    this.messages.push(message);
  }

  get frames(): Frame[] {
    const frames: Frame[] = [];
    for (const message of this.messages) {
      readFrames(
        message,
        0,
        message.length,
        FRAME_BYTES_MAX,
        (type, _flags, correlation, bytes, start, end) =>
          frames.push({ type, correlation, body: bytes.slice(start, end) }),
      );
    }
    return frames;
  }

  of(type: number): Frame[] {
    return this.frames.filter((frame) => frame.type === type);
  }
}

class Setting {
  readonly runtime = new ManualRuntime();
  readonly routes = new KeptRoutes();
  readonly events: unknown[] = [];
  readonly link: RequestHostLink;
  host = new FakeHost();

  constructor(requestsMax = 100) {
    this.link = new RequestHostLink({
      runtime: this.runtime,
      routes: this.routes,
      requestsMax,
      onEvent: (event) => this.events.push(event),
    });
  }

  attach(): void {
    this.host = new FakeHost();
    this.link.attach(this.host);
  }

  submit(bytes = operation()): Caller {
    const caller = new Caller();
    this.link.submit(bytes, 0, bytes.length, caller);
    return caller;
  }

  /** Sends a message of the host. */
  say(
    type: number,
    correlation: number,
    write: (into: ByteWriter) => void = () => {},
    flags = 0,
  ): void {
    const into = new ByteWriter(256);
    const start = beginFrame(into, type, correlation, flags);
    write(into);
    endFrame(into, start);
    this.link.receive(into.copy());
  }

  name(number: number, node: string): void {
    this.say(FrameType.nodeNumber, number, (into) => into.rawText(node));
  }

  ask(correlation: number, node = 0): void {
    this.say(FrameType.vnodeRequest, correlation, (into) => {
      into.u16(node);
      writeVnodeRequestHeader(into, MODULE_ID, 5, 1, 0, 900);
      into.rawText("body");
    });
  }

  [Symbol.dispose](): void {
    this.link.close();
    assertEquals(this.runtime.pendingTimers, 0);
    assertEquals(this.link.size, 0);
  }
}

const REPLY = new ByteWriter(64);
writeOperationResult(REPLY, {
  object: new Uint8Array([1, 2, 3]),
  replies: [],
  replicas: [],
});
const LOST = new WhorlError("connection_closed", "The connection ended");
const VIEW = ringViewOf(1, ["a", "b", "a", "b"], ["a"], "a");

Deno.test("submit() sends the operations of one turn in one message", async () => {
  using setting = new Setting();
  setting.attach();
  setting.submit();
  setting.submit();
  assertEquals(setting.host.messages.length, 0);
  await setting.runtime.settle();
  assertEquals(setting.host.messages.length, 1);
  assertEquals(
    setting.host.frames.map(({ type, body }) => ({ type, body })),
    [
      { type: FrameType.operation, body: operation() },
      { type: FrameType.operation, body: operation() },
    ],
  );
  const [one, other] = setting.host.frames;
  assertEquals(one?.correlation === other?.correlation, false);
});

Deno.test("receive() decodes a result for a caller in this process, into its own memory", async () => {
  using setting = new Setting();
  setting.attach();
  const caller = setting.submit();
  await setting.runtime.settle();
  const id = setting.host.frames[0]!.correlation;
  const into = new ByteWriter(64);
  const start = beginFrame(into, FrameType.operationReply, id);
  into.raw(REPLY.view());
  endFrame(into, start);
  const message = into.copy();
  setting.link.receive(message);
  message.fill(0);
  assertEquals(caller.results, [
    { object: new Uint8Array([1, 2, 3]), replies: [], replicas: [] },
  ]);
  assertEquals(setting.link.size, 0);
});

Deno.test("receive() passes an outcome on as bytes to targets that want that", async () => {
  using setting = new Setting();
  setting.attach();
  const passed: [number, number[]][] = [];
  const target = Object.assign(new Caller(), {
    operationAnswered: (
      type: number,
      bytes: Uint8Array,
      start: number,
      end: number,
    ) => passed.push([type, [...bytes.subarray(start, end)]]),
  });
  for (let i = 0; i < 2; i++) {
    setting.link.submit(operation(), 0, operation().length, target);
  }
  await setting.runtime.settle();
  const [one, other] = setting.host.frames;
  // Neither is a valid result or failure, so decoding would refuse them.
  setting.say(
    FrameType.operationReply,
    one!.correlation,
    (into) => into.u8(255),
  );
  setting.say(
    FrameType.operationError,
    other!.correlation,
    (into) => into.u8(254),
  );
  assertEquals(passed, [
    [FrameType.operationReply, [255]],
    [FrameType.operationError, [254]],
  ]);
  assertEquals(target.outcome, []);
});

Deno.test("receive() answers with protocol_error for an invalid result", async () => {
  using setting = new Setting();
  setting.attach();
  const caller = setting.submit();
  await setting.runtime.settle();
  const id = setting.host.frames[0]!.correlation;
  setting.say(FrameType.operationReply, id, (into) => into.u8(255));
  assertEquals(caller.outcome, ["protocol_error"]);
});

Deno.test("receive() drops a second answer", async () => {
  using setting = new Setting();
  setting.attach();
  const caller = setting.submit();
  await setting.runtime.settle();
  const id = setting.host.frames[0]!.correlation;
  const write = (into: ByteWriter): void => into.raw(REPLY.view());
  setting.say(FrameType.operationReply, id, write);
  setting.say(FrameType.operationReply, id, write);
  assertEquals(caller.outcome, ["done"]);
});

Deno.test("detach() answers operations sent or about to be sent to the host with coordinator_lost", async () => {
  using setting = new Setting();
  setting.attach();
  const sent = setting.submit();
  await setting.runtime.settle();
  const gathered = setting.submit();
  setting.link.detach("killed");
  assertEquals(sent.outcome, ["coordinator_lost"]);
  assertEquals(gathered.outcome, ["coordinator_lost"]);
  assertEquals(setting.link.size, 0);
  setting.attach();
  await setting.runtime.settle();
  assertEquals(setting.host.messages, []);
});

Deno.test("submit() keeps operations for a host that is being restarted, with their remaining time", async () => {
  using setting = new Setting();
  setting.link.setView(MODULE_ID, VIEW);
  const caller = setting.submit(operation({ timeLeftMs: 1_000 }));
  await setting.runtime.advance(300);
  setting.attach();
  await setting.runtime.settle();
  const [ring, sent] = setting.host.frames;
  assertEquals(ring?.type, FrameType.ringView);
  assertEquals(readRingView(ring!.body), { moduleId: MODULE_ID, view: VIEW });
  assertEquals(
    new DataView(sent!.body.buffer).getUint32(OPERATION_TIME_LEFT_OFFSET),
    700,
  );
  setting.say(
    FrameType.operationReply,
    sent!.correlation,
    (into) => into.raw(REPLY.view()),
  );
  assertEquals(caller.outcome, ["done"]);
});

Deno.test("refuse() fails waiting and new operations, until there is a host", async () => {
  using setting = new Setting();
  const waits = setting.submit();
  setting.link.refuse(new WhorlError("closed", "No host for some seconds"));
  assertEquals([waits.outcome, setting.link.size], [["closed"], 0]);
  assertEquals(setting.submit().outcome, ["closed"]);
  assertEquals(setting.link.counts.refused, 1);
  setting.attach();
  const taken = setting.submit();
  await setting.runtime.settle();
  // No refused operation reaches the next host.
  assertEquals(setting.host.of(FrameType.operation).length, 1);
  assertEquals(taken.outcome, []);
});

Deno.test("submit() answers with timeout when no host comes in time, and the next host gets nothing", async () => {
  using setting = new Setting();
  const caller = setting.submit(operation({ timeLeftMs: 1_000 }));
  await setting.runtime.advance(1_000);
  assertEquals(caller.outcome, []);
  await setting.runtime.advance(300);
  assertEquals(caller.outcome, ["timeout"]);
  setting.attach();
  await setting.runtime.settle();
  assertEquals(setting.host.messages, []);
});

Deno.test("submit() refuses more operations than the bound", () => {
  using setting = new Setting(2);
  setting.attach();
  setting.submit();
  setting.submit();
  const third = setting.submit();
  assertEquals(third.outcome, ["overload"]);
  const { started, refused } = setting.link.counts;
  assertEquals({ started, refused }, { started: 2, refused: 1 });
});

Deno.test("submit() refuses more bytes than the bound, and accepts more once some are answered", async () => {
  using setting = new Setting();
  setting.attach();
  const large = new Uint8Array(REQUEST_BYTES_MAX / 8);
  large.set(operation());
  const taken = Array.from({ length: 8 }, () => setting.submit(large));
  assertEquals(taken.flatMap(({ outcome }) => outcome), []);
  assertEquals(setting.submit().outcome, ["overload"]);
  await setting.runtime.settle();
  const id = setting.host.frames[0]!.correlation;
  setting.say(
    FrameType.operationReply,
    id,
    (into) => into.raw(REPLY.view()),
  );
  assertEquals(setting.submit().outcome, []);
});

Deno.test("submit() refuses operations that are cut short or fit in no frame", () => {
  using setting = new Setting();
  setting.attach();
  const short = setting.submit(operation().slice(0, 15));
  assertEquals(short.outcome, ["protocol_error"]);
  const long = setting.submit(new Uint8Array(FRAME_BYTES_MAX));
  assertEquals(long.outcome, ["frame_too_large"]);
});

Deno.test("receive() counts an operation as refused if the host refused it", async () => {
  using setting = new Setting();
  setting.attach();
  const caller = setting.submit();
  await setting.runtime.settle();
  const id = setting.host.frames[0]!.correlation;
  const error = new WhorlError("invalid_quorum", "Cannot read");
  setting.say(
    FrameType.operationError,
    id,
    (into) => writeFailure(into, error),
    OPERATION_REFUSED,
  );
  assertEquals(caller.outcome, ["invalid_quorum"]);
  const { started, refused } = setting.link.counts;
  assertEquals({ started, refused }, { started: 0, refused: 1 });
});

Deno.test("receive() sends a vnode request on, unchanged, to the node with its number", () => {
  using setting = new Setting();
  setting.attach();
  setting.name(0, "b@host");
  setting.ask(17);
  const [sent] = setting.routes.sent;
  const into = new ByteWriter(64);
  writeVnodeRequestHeader(into, MODULE_ID, 5, 1, 0, 900);
  into.rawText("body");
  assertEquals(sent, {
    to: "b@host",
    what: "vnode_request",
    correlation: 17,
    bytes: into.copy(),
    target: setting.link,
  });
});

Deno.test("vnodeAnswer() passes answers on to the host, except those to a repair", async () => {
  using setting = new Setting();
  setting.attach();
  const bytes = new Uint8Array([9, 1, 2, 9]);
  setting.link.vnodeAnswer(FrameType.vnodeReply, 17, bytes, 1, 3);
  setting.link.vnodeAnswer(FrameType.vnodeReply, 0, bytes, 1, 3);
  setting.link.operationAnswer(FrameType.operationReply, 24, bytes, 0, 1);
  await setting.runtime.settle();
  assertEquals(setting.host.frames, [
    {
      type: FrameType.vnodeReply,
      correlation: 17,
      body: new Uint8Array([1, 2]),
    },
    {
      type: FrameType.operationReply,
      correlation: 24,
      body: new Uint8Array([9]),
    },
  ]);
  assertEquals(setting.host.messages.length, 1);
});

Deno.test("receive() answers for a route that is closed, except to a repair", async () => {
  using setting = new Setting();
  setting.attach();
  setting.name(0, "b@host");
  setting.routes.refusal = new WhorlError("not_reachable", "No connection");
  setting.ask(17);
  setting.ask(0);
  setting.say(FrameType.operation, 24, (into) => {
    into.u16(0);
    into.raw(operation());
  });
  await setting.runtime.settle();
  assertEquals(
    setting.host.frames.map(({ type, correlation, body }) => [
      type,
      correlation,
      readFailure(body).code,
    ]),
    [
      [FrameType.vnodeError, 17, "not_reachable"],
      [FrameType.operationError, 24, "not_reachable"],
    ],
  );
  assertEquals(setting.link.counts.repairs, 1);
  assertEquals(setting.link.counts.forwarded, 1);
});

Deno.test("receive() sends an operation on, unchanged, to the node that coordinates it", () => {
  using setting = new Setting();
  setting.attach();
  setting.name(3, "c@host");
  setting.say(FrameType.operation, 24, (into) => {
    into.u16(3);
    into.raw(operation());
  });
  assertEquals(setting.routes.sent, [{
    to: "c@host",
    what: "operation",
    correlation: 24,
    bytes: operation(),
    target: undefined,
  }]);
});

Deno.test("nextSequence is above every request for which something was sent", () => {
  using setting = new Setting();
  setting.attach();
  setting.name(0, "b@host");
  assertEquals(setting.link.nextSequence, 1);
  setting.ask(8 * 41 + 7);
  setting.ask(8 * 40);
  setting.ask(0);
  assertEquals(setting.link.nextSequence, 42);
  setting.link.detach("killed");
  assertEquals(setting.link.nextSequence, 42);
});

Deno.test("attach() forgets the numbers of the last host's nodes", () => {
  using setting = new Setting();
  setting.attach();
  setting.name(0, "b@host");
  setting.attach();
  const error = assertThrows(() => setting.ask(17), WhorlError);
  assertEquals(error.code, "protocol_error");
});

Deno.test("receive() refuses a frame that no host sends", () => {
  using setting = new Setting();
  setting.attach();
  for (const type of [FrameType.vnodeReply, FrameType.call, 250]) {
    assertThrows(() => setting.say(type, 1), WhorlError, `type ${type}`);
  }
  const cutShort = assertThrows(
    () => setting.say(FrameType.vnodeRequest, 1, (into) => into.u8(0)),
    WhorlError,
  );
  assertEquals(cutShort.code, "protocol_error");
});

Deno.test("nodeLost() tells the host, if there is one", async () => {
  using setting = new Setting();
  setting.link.nodeLost("b@host", () => LOST);
  setting.attach();
  await setting.runtime.settle();
  assertEquals(setting.host.messages, []);
  setting.link.nodeLost("b@host", () => LOST);
  await setting.runtime.settle();
  assertEquals(setting.host.of(FrameType.nodeLost).length, 1);
});

Deno.test("close() fails waiting operations and all later ones", () => {
  using setting = new Setting();
  const waiting = setting.submit();
  setting.link.close();
  assertEquals(waiting.outcome, ["closed"]);
  assertEquals(setting.submit().outcome, ["closed"]);
});

Deno.test("RequestHostLink accepts follow-ups of a query while new operations are refused, and does not count them", async () => {
  const setting = new Setting(2);
  setting.attach();
  const more = operation({ kind: OperationKind.coverageMore });
  const callers = [setting.submit(), setting.submit()];
  assertEquals(setting.submit().outcome, ["overload"]);
  const followUps = [setting.submit(more), setting.submit(more)];
  assertEquals(setting.submit(more).outcome, ["overload"]);
  assertEquals(followUps.map(({ outcome }) => outcome), [[], []]);
  await setting.runtime.settle();
  const [, , first] = setting.host.of(FrameType.operation);
  setting.say(
    FrameType.operationError,
    first!.correlation,
    (into) => writeFailure(into, new WhorlError("coordinator_lost", "Gone")),
    OPERATION_REFUSED,
  );
  assertEquals(followUps[0]?.outcome, ["coordinator_lost"]);
  const { started, refused } = setting.link.counts;
  assertEquals({ started, refused }, { started: 2, refused: 1 });
  setting.link.close();
  assertEquals(callers[0]?.outcome, ["coordinator_lost"]);
  assertEquals(setting.runtime.pendingTimers, 0);
});

Deno.test("RequestHostLink does not keep follow-ups for a host that cannot know the query", () => {
  const setting = new Setting();
  const more = operation({ kind: OperationKind.coverageMore });
  assertEquals(setting.submit(more).outcome, ["coordinator_lost"]);
  const waiting = setting.submit();
  assertEquals(waiting.outcome, []);
  setting.link.close();
  assertEquals(setting.submit(more).outcome, ["closed"]);
});

Deno.test("RequestHostLink sends a coverage query's cancellation to a vnode and counts no repair", async () => {
  const setting = new Setting();
  setting.attach();
  setting.name(0, "b");
  setting.say(FrameType.vnodeRequest, 0, (into) => {
    into.u16(0);
    writeVnodeRequestHeader(into, MODULE_ID, 3, 0, RequestFlag.coverage, 100);
    into.rawText("cancel");
  });
  assertEquals(setting.routes.sent.map(({ to }) => to), ["b"]);
  assertEquals(setting.link.counts.repairs, 0);
  setting.link.close();
  await setting.runtime.settle();
});

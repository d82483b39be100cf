import { assertEquals } from "@std/assert";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import { WhorlError } from "../base/errors.ts";
import { TurnClock } from "../environment/turn_clock.ts";
import type { Link } from "../transport/link.ts";
import { BatchingSink } from "../wire/batching_sink.ts";
import { readFailure } from "../wire/failure.ts";
import { FRAME_BYTES_MAX, readFrames } from "../wire/frame.ts";
import { FrameType } from "../wire/frame_type.ts";
import { HeldByNode, LinkAnswers } from "./link_answers.ts";
import {
  NodeRoutes,
  PeerRequestTarget,
  RemoteOperationTarget,
} from "./node_routes.ts";

interface Frame {
  readonly type: number;
  readonly correlation: number;
  readonly body: Uint8Array;
}

/** The part of a link that answers need, and the frames sent on it. */
function outgoing(closed?: unknown): { link: Link; frames: () => Frame[] } {
  const frames: Frame[] = [];
  const sink = new BatchingSink(() => {}, (batch) => {
    readFrames(
      batch,
      0,
      batch.length,
      FRAME_BYTES_MAX,
      (type, _flags, correlation, bytes, start, end) =>
        frames.push({ type, correlation, body: bytes.slice(start, end) }),
    );
  });
  const link = {
    closed,
    bufferedBytes: 0,
    begin: (type: number, correlation: number) => sink.begin(type, correlation),
    end: () => sink.end(),
  };
  return {
    link: link as unknown as Link,
    frames: () => {
      sink.flush();
      return frames;
    },
  };
}

/** Targets on a link, with a clock that stands still. */
function answersOver(link: Link): LinkAnswers {
  return new LinkAnswers(
    link,
    new TurnClock(new ManualRuntime()),
    new HeldByNode(),
    () => undefined,
  );
}

Deno.test("RemoteOperationTarget passes an answer on unchanged", async () => {
  const { link, frames } = outgoing();
  new RemoteOperationTarget(answersOver(link), 9, 100).operationAnswered(
    FrameType.operationReply,
    new Uint8Array([0, 255, 254, 0]),
    1,
    3,
  );
  assertEquals(frames(), [{
    type: FrameType.operationReply,
    correlation: 9,
    body: new Uint8Array([255, 254]),
  }]);
  await Promise.resolve();
});

Deno.test("RemoteOperationTarget answers with an error for a result that fits in no frame", async () => {
  const { link, frames } = outgoing();
  new RemoteOperationTarget(answersOver(link), 9, 100).operationDone({
    object: new Uint8Array(FRAME_BYTES_MAX),
    replies: [],
    replicas: [],
  });
  assertEquals(
    frames().map(({ type, correlation, body }) => [
      type,
      correlation,
      readFailure(body).code,
    ]),
    [[FrameType.operationError, 9, "frame_too_large"]],
  );
  await Promise.resolve();
});

Deno.test("RemoteOperationTarget sends nothing on a link that has closed", async () => {
  const { link, frames } = outgoing({ message: "gone" });
  const target = new RemoteOperationTarget(answersOver(link), 9, 100);
  target.operationDone({ object: undefined, replies: [], replicas: [] });
  target.operationFailed(new WhorlError("timeout", "Too late"));
  target.operationAnswered(FrameType.operationReply, new Uint8Array(1), 0, 1);
  assertEquals(frames(), []);
  await Promise.resolve();
});

Deno.test("PeerRequestTarget passes on each answer except the one to a repair", async () => {
  const { link, frames } = outgoing();
  const target = new PeerRequestTarget(answersOver(link), 100);
  const body = new Uint8Array([1, 2, 3]);
  target.vnodeAnswer(FrameType.vnodeAccepted, 7, body, 0, 1);
  target.vnodeAnswer(FrameType.vnodeReply, 7, body, 1, 3);
  target.vnodeAnswer(FrameType.vnodeReply, 0, body, 0, 3);
  assertEquals(
    frames().map(({ type, correlation, body }) => [type, correlation, ...body]),
    [[FrameType.vnodeAccepted, 7, 1], [FrameType.vnodeReply, 7, 2, 3]],
  );
  await Promise.resolve();
});

Deno.test("NodeRoutes refuses while its vnodes or the route to a node are missing", () => {
  const routes = new NodeRoutes(
    "a@host",
    () => undefined,
    () => undefined,
    () => false,
  );
  const target = { vnodeAnswer() {} };
  const refusals = [
    routes.beginVnodeRequest("a@host", 1, 1, target, 1, 100),
    routes.beginVnodeRequest("b@host", 1, 1, target, 1, 100),
    routes.beginOperation("b@host", 1),
  ];
  assertEquals(
    refusals.map((refusal) => (refusal as WhorlError).code),
    ["closed", "not_reachable", "not_reachable"],
  );
});

Deno.test("NodeRoutes sends a suspected node nothing that waits for an answer", async () => {
  const { link, frames } = outgoing();
  let suspected = true;
  const routes = new NodeRoutes(
    "a@host",
    () => undefined,
    () => link,
    (node) => suspected && node === "b@host",
  );
  const target = { vnodeAnswer() {} };
  const refusals = [
    routes.beginVnodeRequest("b@host", 1, 1, target, 8, 100),
    routes.beginOperation("b@host", 8),
  ];
  assertEquals(
    refusals.map((refusal) => {
      const { code, details } = refusal as WhorlError;
      return [code, details];
    }),
    refusals.map(() => ["node_suspected", { node: "b@host" }]),
  );
  // Nobody waits for a repair, and it may well arrive.
  routes.beginVnodeRequest("b@host", 1, 1, target, 0, 100);
  routes.endVnodeRequest();
  routes.beginVnodeRequest("c@host", 1, 1, target, 16, 100);
  routes.endVnodeRequest();
  suspected = false;
  routes.beginVnodeRequest("b@host", 1, 1, target, 24, 100);
  routes.endVnodeRequest();
  assertEquals(frames().map(({ correlation }) => correlation), [0, 16, 24]);
  await Promise.resolve();
});

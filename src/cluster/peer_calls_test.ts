import { assertEquals, assertRejects } from "@std/assert";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import { WhorlError } from "../base/errors.ts";
import { silentLog } from "../environment/log.ts";
import { FrameType } from "../wire/frame_type.ts";
import {
  type ClusterReply,
  type ClusterRequest,
  decodeReply,
  decodeRequest,
  encodeReply,
  encodeRequest,
} from "./cluster_codec.ts";
import { PEER_CALLS_MAX, PeerCalls } from "./peer_calls.ts";

const QUESTION: ClusterRequest = { method: "belongs", seed: "s" };

/** The calls of node `a`, which has a link to `b` alone, and all it sends. */
function callsOfA() {
  const runtime = new ManualRuntime();
  const sent: { to: string; type: number; payload: Uint8Array }[] = [];
  const calls = new PeerCalls("a", {
    runtime,
    log: silentLog,
    send: (to, type, payload) => {
      if (to === "b") sent.push({ to, type, payload: payload.slice() });
      return to === "b";
    },
    serve: (from, request, answer) =>
      answer({ ok: true, result: `${request.method} for ${from}` }),
  });
  const answers: string[] = [];
  const note = (reply: ClusterReply) =>
    void answers.push(reply.ok ? String(reply.result) : reply.error.code);
  const ask = (node: string) => calls.ask(node, QUESTION, 1_000, note);
  const reply = (from: string, place: number) => {
    const { id } = decodeRequest((sent[place] as typeof sent[0]).payload);
    calls.replyReceived(from, encodeReply(id, { ok: true, result: from }));
  };
  return { runtime, sent, calls, answers, ask, reply };
}

Deno.test("PeerCalls.ask() accepts one answer, only from the node it asked", () => {
  const { answers, ask, reply, runtime } = callsOfA();
  ask("b");
  reply("c", 0);
  assertEquals(answers, []);
  reply("b", 0);
  reply("b", 0);
  assertEquals(answers, ["b"]);
  assertEquals(runtime.pendingTimers, 0);
});

Deno.test("PeerCalls.ask() fails at its deadline, when the link ends, or when its own node stops", async () => {
  const { calls, answers, ask, reply, runtime } = callsOfA();
  ask("c");
  ask("b");
  await runtime.advance(1_000);
  reply("b", 0);
  ask("b");
  calls.peerDown("c");
  calls.peerDown("b");
  ask("b");
  calls.stop();
  ask("b");
  assertEquals(answers, [
    "not_reachable",
    "timeout",
    "not_reachable",
    "closed",
    "closed",
  ]);
  assertEquals(runtime.pendingTimers, 0);
});

Deno.test("PeerCalls.ask() refuses a call when as many as allowed are open", () => {
  const { calls, answers, ask } = callsOfA();
  for (let i = 0; i < PEER_CALLS_MAX; i++) ask("b");
  assertEquals(answers, []);
  ask("b");
  assertEquals(answers, ["overload"]);
  calls.stop();
});

Deno.test("PeerCalls.ask() handles a call to its own node locally, and sends nothing", () => {
  const { answers, ask, sent } = callsOfA();
  ask("a");
  assertEquals(answers, ["belongs for a"]);
  assertEquals(sent, []);
});

Deno.test("PeerCalls.requestReceived() sends the answer back with the caller's correlation number", () => {
  const { calls, sent } = callsOfA();
  calls.requestReceived("b", encodeRequest(77, QUESTION));
  const [frame, ...rest] = sent;
  assertEquals(rest, []);
  assertEquals(frame?.type, FrameType.joinReply);
  assertEquals(decodeReply(frame?.payload ?? new Uint8Array()), {
    id: 77,
    reply: { ok: true, result: "belongs for b" },
  });
});

Deno.test("PeerCalls.call() rejects with the error that the other node sends", async () => {
  const { calls, sent } = callsOfA();
  const call = calls.call("b", QUESTION, 1_000);
  const { id } = decodeRequest((sent[0] as typeof sent[0]).payload);
  const error = new WhorlError("ring_not_ready", "Cannot say");
  calls.replyReceived("b", encodeReply(id, { ok: false, error }));
  const refusal = await assertRejects(() => call, WhorlError);
  assertEquals(refusal.code, "ring_not_ready");
});

Deno.test("PeerCalls.askBelongs() reports nothing if there is no answer", () => {
  const { calls, sent } = callsOfA();
  const told: boolean[] = [];
  const note = (belongs: boolean) => void told.push(belongs);
  calls.askBelongs("c", "s", note);
  calls.askBelongs("b", "s", note);
  const { id } = decodeRequest((sent[0] as typeof sent[0]).payload);
  calls.replyReceived("b", encodeReply(id, { ok: true, result: false }));
  assertEquals(told, [false]);
});

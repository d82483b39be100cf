import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { WhorlError } from "../base/errors.ts";
import { FrameType } from "../wire/frame_type.ts";
import { Cookie } from "./cookie.ts";
import { encodeHello, encodeRefused } from "./handshake_codec.ts";
import {
  createHandshake,
  type HandshakeEffect,
  type HandshakeEvent,
  type HandshakeOptions,
  type HandshakeState,
  stepHandshake,
} from "./handshake_fsm.ts";
import type { LinkIdentity, LinkPeer } from "./link_peer.ts";

const V1 = { min: 1, max: 1 };

function identity(name: string, cluster = "test"): LinkIdentity {
  return { name, nodeId: `id-${name}`, incarnation: 7, cluster };
}

let nonces = 0;
function end(
  role: "opener" | "accepter",
  options: Partial<HandshakeOptions> = {},
): HandshakeState {
  return createHandshake({
    role,
    identity: identity(role),
    cookie: new Cookie("secret"),
    versions: V1,
    nonce: new Uint8Array(32).fill(++nonces),
    address: `${role}:1`,
    ...options,
  });
}

/** One end that records what it sent, and admits everybody. */
class End {
  readonly sent: { frameType: number; payload: Uint8Array }[] = [];
  outcome: Extract<HandshakeEffect, { type: "succeed" | "fail" }> | undefined;

  constructor(
    readonly state: HandshakeState,
    readonly answer: HandshakeEvent = { type: "admitted" },
  ) {
    this.step({ type: "start" });
  }

  step(event: HandshakeEvent): void {
    for (const effect of stepHandshake(this.state, event)) {
      if (effect.type === "send") this.sent.push(effect);
      else if (effect.type === "consider") this.step(this.answer);
      else this.outcome = effect;
    }
  }

  receive(frame: { frameType: number; payload: Uint8Array }): void {
    const { frameType, payload } = frame;
    this.step({ type: "frame", frameType, payload });
  }

  get error(): WhorlError {
    if (this.outcome?.type === "fail") return this.outcome.error;
    throw new Error("the handshake should have failed");
  }

  get peer(): LinkPeer {
    if (this.outcome?.type === "succeed") return this.outcome.peer;
    throw new Error("the handshake should have succeeded");
  }
}

/** Lets two ends talk until neither has anything to say. */
function converse(opener: End, accepter: End): void {
  let toAccepter = 0;
  let toOpener = 0;
  while (
    toAccepter < opener.sent.length || toOpener < accepter.sent.length
  ) {
    const there = opener.sent[toAccepter];
    if (there !== undefined) {
      toAccepter++;
      accepter.receive(there);
    }
    const back = accepter.sent[toOpener];
    if (back !== undefined) {
      toOpener++;
      opener.receive(back);
    }
  }
}

Deno.test("stepHandshake() authenticates two ends with the same cookie to each other", () => {
  const opener = new End(end("opener", { kind: "bulk" }));
  const accepter = new End(end("accepter"));
  converse(opener, accepter);
  const { linkId, ...there } = opener.peer;
  assertEquals(there, {
    ...identity("accepter"),
    kind: "bulk",
    address: "opener:1",
    openedBy: "this_node",
    protocolVersion: 1,
  });
  assertEquals(accepter.peer, {
    ...identity("opener"),
    kind: "bulk",
    address: "accepter:1",
    openedBy: "other_node",
    protocolVersion: 1,
    linkId,
  });
  assertMatch(linkId, /^[0-9a-f]{32}$/);
});

Deno.test("stepHandshake() gives every link another id", () => {
  const ids = new Set<string>();
  for (let i = 0; i < 10; i++) {
    const opener = new End(end("opener"));
    converse(opener, new End(end("accepter")));
    ids.add(opener.peer.linkId);
  }
  assertEquals(ids.size, 10);
});

Deno.test("stepHandshake() refuses a different cookie and tells the opener", () => {
  const opener = new End(end("opener", { cookie: new Cookie("guess") }));
  const accepter = new End(end("accepter"));
  converse(opener, accepter);
  assertEquals(accepter.error.code, "wrong_cookie");
  assertEquals(opener.error.code, "wrong_cookie");
});

Deno.test("stepHandshake() sends no proof before the opener has sent a valid one", () => {
  const opener = new End(end("opener", { cookie: new Cookie("guess") }));
  const accepter = new End(end("accepter"));
  converse(opener, accepter);
  assertEquals(
    accepter.sent.map(({ frameType }) => frameType),
    [FrameType.challenge, FrameType.refused],
  );
});

Deno.test("Cookie distinguishes secrets that HMAC would pad to the same key", () => {
  const part = new Uint8Array(1);
  assertEquals(
    new Cookie("a").verifies(new Cookie("a\0").mac(part), part),
    false,
  );
  assertEquals(new Cookie("a").verifies(new Cookie("a").mac(part), part), true);
  assertEquals(
    new Cookie(new Uint8Array([255, 254])).verifies(
      new Cookie(new Uint8Array([255, 253])).mac(part),
      part,
    ),
    false,
  );
});

Deno.test("Cookie does not show its secret", () => {
  const cookie = new Cookie("sesame");
  const shown = `${Deno.inspect(cookie)} ${JSON.stringify(cookie)} ${cookie}`;
  assert(!shown.includes("sesame"));
  assert(!/[0-9a-f]{16}/.test(shown), "nor anything made from it");
});

Deno.test("Cookie refuses to be empty", () => {
  for (const empty of ["", new Uint8Array(0)]) {
    const error = assertThrows(() => new Cookie(empty), WhorlError);
    assertEquals(error.code, "invalid_config");
  }
});

Deno.test("stepHandshake() refuses another cluster without saying which it is", () => {
  const opener = new End(
    end("opener", { identity: identity("a", "theirs") }),
  );
  const accepter = new End(end("accepter"));
  converse(opener, accepter);
  assertEquals(accepter.error.code, "wrong_cluster");
  assertEquals(opener.error.code, "wrong_cluster");
  assertEquals(accepter.sent.length, 1);
  assert(!new TextDecoder().decode(accepter.sent[0]?.payload).includes("test"));
});

Deno.test("stepHandshake() lets a client omit the cluster, but not a node", () => {
  for (const kind of ["client", "peer", "bulk"] as const) {
    const opener = new End(
      end("opener", { kind, identity: identity("a", "") }),
    );
    converse(opener, new End(end("accepter")));
    assertEquals(
      opener.outcome?.type,
      kind === "client" ? "succeed" : "fail",
      kind,
    );
  }
});

Deno.test("stepHandshake() names both version ranges when they do not overlap", () => {
  const opener = new End(end("opener", { versions: { min: 2, max: 3 } }));
  const accepter = new End(end("accepter"));
  converse(opener, accepter);
  assertEquals(opener.error.code, "wrong_version");
  assertMatch(opener.error.message, /2 to 3 here, 1 to 1 there/);
  assertEquals(accepter.error.code, "wrong_version");
  assertMatch(accepter.error.message, /1 to 1 here, 2 to 3 there/);
});

Deno.test("stepHandshake() agrees on the highest version both speak", () => {
  const opener = new End(end("opener", { versions: { min: 1, max: 4 } }));
  const accepter = new End(end("accepter", { versions: { min: 2, max: 3 } }));
  converse(opener, accepter);
  assertEquals(opener.peer.protocolVersion, 3);
  assertEquals(accepter.peer.protocolVersion, 3);
});

Deno.test("stepHandshake() refuses a replayed handshake", () => {
  const opener = new End(end("opener"));
  converse(opener, new End(end("accepter")));
  const accepter = new End(end("accepter"));
  for (const frame of opener.sent) accepter.receive(frame);
  assertEquals(accepter.error.code, "wrong_cookie");
});

Deno.test("stepHandshake() refuses the replayed frames of an accepter", () => {
  const recorded = new End(end("accepter"));
  converse(new End(end("opener")), recorded);
  const opener = new End(end("opener"));
  for (const frame of recorded.sent) opener.receive(frame);
  assertEquals(opener.error.code, "wrong_cookie");
});

Deno.test("stepHandshake() refuses its own proof sent back as a welcome", () => {
  // The other end knows no cookie: it answers with a challenge of its own.
  const stranger = new End(end("accepter", { cookie: new Cookie("none") }));
  const opener = new End(end("opener"));
  stranger.receive(opener.sent[0]!);
  opener.receive(stranger.sent[0]!);
  const proof = opener.sent[1]!;
  assertEquals(proof.frameType, FrameType.proof);
  opener.receive({
    frameType: FrameType.welcome,
    payload: proof.payload.subarray(16),
  });
  assertEquals(opener.error.code, "wrong_cookie");
});

Deno.test("stepHandshake() refuses its own frames reflected to it", () => {
  const opener = new End(end("opener"));
  opener.receive(opener.sent[0]!);
  assertEquals(opener.error.code, "protocol_error");
  const accepter = new End(end("accepter"));
  accepter.receive(new End(end("opener")).sent[0]!);
  accepter.receive(accepter.sent[0]!);
  assertEquals(accepter.error.code, "protocol_error");
});

Deno.test("stepHandshake() detects every changed byte of hello and challenge", () => {
  for (const which of ["hello", "challenge"] as const) {
    const length = (() => {
      const opener = new End(end("opener"));
      const accepter = new End(end("accepter"));
      converse(opener, accepter);
      return (which === "hello" ? opener : accepter).sent[0]!.payload.length;
    })();
    for (let at = 0; at < length; at++) {
      const opener = new End(end("opener"));
      const accepter = new End(end("accepter"));
      const victim = which === "hello" ? opener : accepter;
      const change = (frame: { frameType: number; payload: Uint8Array }) => {
        const payload = frame.payload.slice();
        payload[at]! ^= 1;
        return { frameType: frame.frameType, payload };
      };
      const hello = opener.sent[0]!;
      accepter.receive(victim === opener ? change(hello) : hello);
      const challenge = accepter.sent[0]!;
      opener.receive(victim === accepter ? change(challenge) : challenge);
      const proof = opener.sent[1];
      if (proof !== undefined) accepter.receive(proof);
      assert(
        accepter.outcome?.type !== "succeed",
        `byte ${at} of ${which} was changed and the accepter took it`,
      );
    }
  }
});

Deno.test("stepHandshake() detects a change of the last link id in a proof", () => {
  const opener = new End(end("opener"));
  const accepter = new End(end("accepter"));
  accepter.receive(opener.sent[0]!);
  opener.receive(accepter.sent[0]!);
  const { frameType, payload } = opener.sent[1]!;
  payload[0]! ^= 1;
  accepter.receive({ frameType, payload });
  assertEquals(accepter.error.code, "wrong_cookie");
});

Deno.test("stepHandshake() tells the opener why the node refuses it", () => {
  for (
    const [reason, code] of [
      ["self_connection", "self_connection"],
      ["name_taken", "name_taken"],
      ["stale_incarnation", "name_taken"],
      ["too_many_connections", "too_many_connections"],
      ["duplicate_link", "connection_closed"],
      ["wrong_name", "handshake_failed"],
    ] as const
  ) {
    const opener = new End(end("opener"));
    const accepter = new End(end("accepter"), { type: "rejected", reason });
    converse(opener, accepter);
    assertEquals([opener.error.code, accepter.error.code], [code, code]);
  }
});

Deno.test("stepHandshake() fails at the deadline in every phase", () => {
  const opener = new End(end("opener"));
  opener.step({ type: "deadline" });
  assertEquals(opener.error.code, "handshake_failed");
  const accepter = new End(end("accepter"));
  accepter.receive(new End(end("opener")).sent[0]!);
  accepter.step({ type: "deadline" });
  assertEquals(accepter.error.code, "handshake_failed");
});

Deno.test("stepHandshake() fails with the reason it is aborted with, and sends nothing", () => {
  const accepter = new End(end("accepter"));
  accepter.receive(new End(end("opener")).sent[0]!);
  const error = new WhorlError("closed", "no more");
  assertEquals(stepHandshake(accepter.state, { type: "given_up", error }), [
    { type: "fail", error, told: false },
  ]);
  assertEquals(accepter.state.phase, "done");
});

Deno.test("stepHandshake() ignores every event once the handshake has ended", () => {
  const accepter = new End(end("accepter"));
  const opener = new End(end("opener"));
  converse(opener, accepter);
  const before = accepter.outcome;
  for (
    const event of [
      { type: "deadline" },
      { type: "stream_ended", reason: "x" },
      { type: "given_up", error: new WhorlError("closed", "x") },
      { ...opener.sent[0]!, type: "frame" },
      { type: "rejected", reason: "name_taken" },
    ] as HandshakeEvent[]
  ) assertEquals(stepHandshake(accepter.state, event), []);
  assertEquals(accepter.outcome, before);
});

Deno.test("stepHandshake() refuses names that are empty, too long or unprintable", () => {
  for (const name of ["", "x".repeat(256), "a\nb", "\u0000", "a\u007f"]) {
    const accepter = new End(end("accepter"));
    accepter.receive({
      frameType: FrameType.hello,
      payload: encodeHello(
        V1,
        "peer",
        identity(name),
        new Uint8Array(32),
      ),
    });
    assertEquals(accepter.error.code, "protocol_error", JSON.stringify(name));
  }
});

Deno.test("stepHandshake() fails by name on a refusal with an unknown reason", () => {
  const opener = new End(end("opener"));
  const payload = encodeRefused("timeout", V1);
  payload[0] = 200;
  opener.receive({ frameType: FrameType.refused, payload });
  assertEquals(opener.error.code, "handshake_failed");
});

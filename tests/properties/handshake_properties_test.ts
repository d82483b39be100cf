/**
 * Laws of the handshake under any input: decoders undo encoders, refuse
 * everything else with a protocol error, and no bytes of a stranger get in.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { isWhorlError } from "../../src/base/errors.ts";
import { Cookie } from "../../src/transport/cookie.ts";
import {
  decodeChallenge,
  decodeHello,
  decodeProof,
  decodeRefused,
  decodeWelcome,
  encodeChallenge,
  encodeHello,
} from "../../src/transport/handshake_codec.ts";
import {
  createHandshake,
  stepHandshake,
} from "../../src/transport/handshake_fsm.ts";

const V1 = { min: 1, max: 1 };
const printable = (minLength: number) =>
  fc.string({ minLength, maxLength: 60, unit: "grapheme" }).filter((text) =>
    // deno-lint-ignore no-control-regex
    !/[\u0000-\u001f\u007f-\u009f]/.test(text) &&
    new TextEncoder().encode(text).length <= 255 && text.isWellFormed()
  );
const identities = fc.record({
  cluster: printable(0),
  name: printable(1),
  nodeId: printable(1),
  incarnation: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
});
const nonces = fc.uint8Array({ minLength: 32, maxLength: 32 });
const kinds = fc.constantFrom("peer", "bulk", "client");

Deno.test("decodeHello() and decodeChallenge() undo their encoders", () => {
  fc.assert(
    fc.property(identities, nonces, kinds, (identity, nonce, kind) => {
      assertEquals(decodeHello(encodeHello(V1, kind, identity, nonce), V1), {
        versions: V1,
        body: { kind, identity, nonce: Uint8Array.from(nonce) },
      });
      assertEquals(decodeChallenge(encodeChallenge(V1, identity, nonce), V1), {
        versions: V1,
        identity,
        nonce: Uint8Array.from(nonce),
      });
    }),
  );
});

const decoders = [
  (bytes: Uint8Array) => decodeHello(bytes, V1),
  (bytes: Uint8Array) => decodeChallenge(bytes, V1),
  decodeProof,
  decodeWelcome,
  decodeRefused,
];

function refusesCleanly(bytes: Uint8Array): void {
  for (const decode of decoders) {
    try {
      decode(bytes);
    } catch (error) {
      assert(isWhorlError(error, "protocol_error"), String(error));
    }
  }
}

Deno.test("handshake decoders answer any bytes with a value or a protocol error", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), refusesCleanly),
    { numRuns: 2_000 },
  );
});

Deno.test("handshake decoders handle every mutation of real messages cleanly", () => {
  fc.assert(
    fc.property(
      identities,
      nonces,
      fc.array(fc.tuple(fc.nat({ max: 400 }), fc.nat({ max: 255 })), {
        maxLength: 8,
      }),
      fc.nat({ max: 400 }),
      (identity, nonce, changes, cut) => {
        for (
          const message of [
            encodeHello(V1, "peer", identity, nonce),
            encodeChallenge(V1, identity, nonce),
          ]
        ) {
          for (const [at, value] of changes) {
            message[at % message.length] = value;
          }
          refusesCleanly(message);
          refusesCleanly(message.subarray(0, cut % message.length));
        }
      },
    ),
    { numRuns: 1_000 },
  );
});

Deno.test("decodeHello() refuses a hello that is cut anywhere or goes on", () => {
  const hello = encodeHello(
    V1,
    "peer",
    { name: "a", nodeId: "b", cluster: "c", incarnation: 1 },
    new Uint8Array(32),
  );
  for (let length = 0; length < hello.length; length++) {
    let refused = false;
    try {
      decodeHello(hello.subarray(0, length), V1);
    } catch (error) {
      refused = isWhorlError(error, "protocol_error");
    }
    assert(refused, `${length} of ${hello.length} bytes were taken`);
  }
  const longer = new Uint8Array(hello.length + 1);
  longer.set(hello);
  let refused = false;
  try {
    decodeHello(longer, V1);
  } catch (error) {
    refused = isWhorlError(error, "protocol_error");
  }
  assert(refused);
});

Deno.test("stepHandshake() lets no stranger in, whatever frames come in whatever order", () => {
  const frames = fc.array(
    fc.record({
      frameType: fc.oneof(fc.integer({ min: 1, max: 5 }), fc.nat({ max: 255 })),
      payload: fc.oneof(
        fc.uint8Array({ maxLength: 100 }),
        fc.uint8Array({ minLength: 48, maxLength: 48 }),
        fc.tuple(identities, nonces).map(([identity, nonce]) =>
          encodeHello(V1, "client", { ...identity, cluster: "" }, nonce)
        ),
        fc.tuple(identities, nonces).map(([identity, nonce]) =>
          encodeChallenge(V1, { ...identity, cluster: "test" }, nonce)
        ),
      ),
    }),
    { maxLength: 6 },
  );
  fc.assert(
    fc.property(
      frames,
      fc.constantFrom("opener" as const, "accepter" as const),
      (frames, role) => {
        const state = createHandshake({
          role,
          identity: {
            name: "n",
            nodeId: "n",
            incarnation: 1,
            cluster: "test",
          },
          cookie: new Cookie("secret"),
          versions: V1,
          nonce: new Uint8Array(32),
          address: "x:1",
        });
        const events = [
          { type: "start" as const },
          ...frames.map((frame) => ({ type: "frame" as const, ...frame })),
        ];
        for (const event of events) {
          for (const effect of stepHandshake(state, event)) {
            assert(effect.type !== "succeed");
            if (effect.type === "consider") {
              // An accepter asks only about those who have shown the cookie.
              assertEquals(role, "opener");
              stepHandshake(state, { type: "admitted" });
            }
          }
        }
      },
    ),
    { numRuns: 2_000 },
  );
});

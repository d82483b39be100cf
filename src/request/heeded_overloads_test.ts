import { assertEquals } from "@std/assert";
import { WhorlError } from "../base/errors.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { partitionOf } from "../ring/chash.ts";
import { HeededOverloads, HELD_MS_MAX } from "./heeded_overloads.ts";
import {
  emptyOperationHeader,
  OperationFlag,
  type OperationHeader,
  OperationKind,
  writeOperationHeader,
} from "./operation_codec.ts";
import { demandOf } from "./shared_fate.ts";

const RING_SIZE = 64;

/** An operation on a key of bucket "b", or of another one. */
function operationOn(
  key: string,
  header: Partial<OperationHeader> = {},
  bucket = "b",
): Uint8Array<ArrayBuffer> {
  const into = new ByteWriter();
  writeOperationHeader(into, {
    ...emptyOperationHeader(),
    kind: OperationKind.request,
    moduleId: 7,
    n: 3,
    quorum: 2,
    timeLeftMs: 1_000,
    ...header,
  });
  into.u16(2 + bucket.length + key.length);
  into.text(bucket);
  into.raw(new TextEncoder().encode(key));
  return into.copy();
}

function partitionOfKey(key: string): number {
  return partitionOf("b", key, RING_SIZE);
}

/** Keys of one partition, and one of another. */
const [first, second, other] = ((): [string, string, string] => {
  const keys = Array.from({ length: 1_000 }, (_, i) => `k${i}`);
  const isFirst = (key: string) => partitionOfKey(key) === partitionOfKey("k0");
  return [
    "k0",
    keys.slice(1).find(isFirst) as string,
    keys.find((key) => !isFirst(key)) as string,
  ];
})();

/** A client that respects what it is told, without randomization. */
class Client {
  readonly heeded: HeededOverloads;
  nowMs = 1_000;

  constructor(random = 0.5) {
    this.heeded = new HeededOverloads(() => random);
  }

  /** The number of the operation, or for how long it is refused. */
  ask(operation: Uint8Array): { sent: number } | { againAfterMs: unknown } {
    const sent = this.heeded.numberNext();
    const refusal = this.heeded.refusal(
      sent,
      operation,
      0,
      operation.length,
      this.nowMs,
    );
    if (refusal === undefined) return { sent };
    assertEquals([refusal.code, refusal.details.heeded], ["overload", true]);
    return { againAfterMs: refusal.details.againAfterMs };
  }

  /** Whether it is sent. */
  sends(operation: Uint8Array): boolean {
    return "sent" in this.ask(operation);
  }

  /** Sends an operation, which must be possible. */
  send(operation: Uint8Array): number {
    const asked = this.ask(operation);
    if ("sent" in asked) return asked.sent;
    throw new Error(`refused for ${asked.againAfterMs} ms`);
  }

  told(
    number: number,
    operation: Uint8Array,
    againAfterMs: unknown,
    keyPartition: unknown = partitionOfKey(first),
    ringSize: unknown = RING_SIZE,
  ): void {
    const details = { againAfterMs, keyPartition, ringSize };
    this.heeded.hear(
      number,
      demandOf(operation, 0),
      new WhorlError("overload", "It is not done", { details }),
      this.nowMs,
    );
  }
}

Deno.test("HeededOverloads refuses what shares the fate of a refused operation, until asking again makes sense", () => {
  const client = new Client();
  const operation = operationOn(first);
  client.told(client.send(operation), operation, 100);
  assertEquals(client.ask(operation), { againAfterMs: 100 });
  assertEquals(client.sends(operationOn(second)), false);
  // The vnodes are overloaded whatever the command is.
  assertEquals(client.sends(operationOn(second, { command: 1 })), false);
  assertEquals(client.sends(operationOn(other)), true);
  client.nowMs += 99.5;
  assertEquals(client.ask(operation), { againAfterMs: 1 });
  client.nowMs += 0.5;
  assertEquals(client.sends(operation), true);
});

Deno.test("HeededOverloads applies a refusal of kv to one bucket, as Raft groups may serve another", () => {
  const client = new Client();
  const keys = Array.from({ length: 1_000 }, (_, i) => `k${i}`);
  const partition = partitionOfKey(first);
  const elsewhere = keys.find((key) =>
    partitionOf("c", key, RING_SIZE) === partition
  ) as string;
  for (const kind of [OperationKind.put, OperationKind.get]) {
    const operation = operationOn(first, { kind });
    client.told(client.send(operation), operation, 100);
    assertEquals(client.sends(operationOn(second, { kind })), false);
    assertEquals(client.sends(operationOn(elsewhere, { kind }, "c")), true);
  }
  // Commands of a module wait in one mailbox, whatever their bucket is.
  const operation = operationOn(first);
  client.told(client.send(operation), operation, 100);
  assertEquals(client.sends(operationOn(elsewhere, {}, "c")), false);
});

Deno.test("HeededOverloads sends operations with smaller or different demands, or for another module", () => {
  const client = new Client();
  const operation = operationOn(first);
  client.told(client.send(operation), operation, 100);
  const others: Partial<OperationHeader>[] = [
    { n: 2 },
    { quorum: 1 },
    { primaries: 1 },
    { durable: 1 },
    { nodeConfirms: 1 },
    { moduleId: 8 },
    { kind: OperationKind.get },
    { flags: OperationFlag.strict },
    { flags: OperationFlag.readOnly },
  ];
  for (const header of others) {
    assertEquals(client.sends(operationOn(first, header)), true);
  }
  // These tell nothing about vnodes.
  for (const flags of [OperationFlag.bodyOnly, OperationFlag.withoutReplicas]) {
    assertEquals(client.sends(operationOn(first, { flags })), false);
  }
});

Deno.test("HeededOverloads holds for twice as long when the probe is refused too, up to a second", () => {
  const client = new Client();
  const operation = operationOn(first);
  client.told(client.send(operation), operation, 100);
  const held: number[] = [];
  for (let i = 0; i < 6; i++) {
    const asked = client.ask(operation);
    client.nowMs += (asked as { againAfterMs: number }).againAfterMs;
    held.push((asked as { againAfterMs: number }).againAfterMs);
    client.told(client.send(operation), operation, 100);
  }
  assertEquals(held, [100, 200, 400, 800, HELD_MS_MAX, HELD_MS_MAX]);
});

Deno.test("HeededOverloads holds no longer than told when the probe succeeds", () => {
  const client = new Client();
  const operation = operationOn(first);
  client.told(client.send(operation), operation, 100);
  client.nowMs += 100;
  const probe = client.send(operation);
  client.nowMs += 5;
  client.told(client.send(operation), operation, 60);
  assertEquals(client.ask(operation), { againAfterMs: 60 });
  client.nowMs += 60;
  // The previous probe is no probe this time.
  client.send(operation);
  client.told(probe, operation, 60);
  assertEquals(client.ask(operation), { againAfterMs: 60 });
});

Deno.test("HeededOverloads uses the longest of several times told at once", () => {
  const client = new Client();
  const operation = operationOn(first);
  const sent = [1, 2, 3].map(() => client.send(operation));
  client.told(sent[0] as number, operation, 100);
  client.nowMs += 10;
  client.told(sent[1] as number, operation, 50);
  assertEquals(client.ask(operation), { againAfterMs: 90 });
  client.told(sent[2] as number, operation, 120);
  assertEquals(client.ask(operation), { againAfterMs: 120 });
});

Deno.test("HeededOverloads randomizes the time by up to a quarter", () => {
  for (const [random, leftMs] of [[0, 75], [0.999_999, 125]] as const) {
    const client = new Client(random);
    const operation = operationOn(first);
    client.told(client.send(operation), operation, 100);
    assertEquals(client.ask(operation), { againAfterMs: leftMs });
  }
});

Deno.test("HeededOverloads forgets a refusal that was not repeated for a second", () => {
  const client = new Client();
  const operation = operationOn(first);
  client.told(client.send(operation), operation, 400);
  client.nowMs += 1_401;
  assertEquals(client.heeded.empty, false);
  client.told(client.send(operation), operation, 100);
  // It was not a probe.
  assertEquals(client.ask(operation), { againAfterMs: 100 });
  client.nowMs += 1_101;
  client.send(operation);
  assertEquals(client.heeded.empty, true);
});

Deno.test("HeededOverloads applies a refusal only to the ring it came from, which may be resized", () => {
  const client = new Client();
  const operation = operationOn(first);
  client.told(client.send(operation), operation, 100);
  const second = operationOn(other);
  client.told(
    client.send(second),
    second,
    100,
    partitionOf("b", other, 2 * RING_SIZE),
    2 * RING_SIZE,
  );
  assertEquals(client.sends(second), false);
  assertEquals(client.sends(operation), true);
});

Deno.test("HeededOverloads ignores invalid refusals, and believes no long time", () => {
  const client = new Client();
  const operation = operationOn(first);
  const number = client.send(operation);
  for (const afterMs of [undefined, "50", NaN, -1, 0]) {
    client.told(number, operation, afterMs);
  }
  for (const partition of [undefined, "1", -1, 0.5, RING_SIZE]) {
    client.told(number, operation, 100, partition ?? null);
  }
  for (const ringSize of ["64", 0, 63, 2 ** 20, NaN]) {
    client.told(number, operation, 100, 1, ringSize);
  }
  client.heeded.hear(
    number,
    demandOf(operation, 0),
    new WhorlError("timeout", "", {
      details: { againAfterMs: 50, keyPartition: 1, ringSize: 64 },
    }),
    client.nowMs,
  );
  assertEquals(client.heeded.empty, true);
  client.told(number, operation, Infinity);
  assertEquals(client.ask(operation), { againAfterMs: HELD_MS_MAX });
  // An operation whose key is cut short is for the node to refuse.
  assertEquals(client.sends(operation.subarray(0, 20)), true);
});

Deno.test("HeededOverloads remembers a bounded number of kinds of demand, and nothing about others", () => {
  const client = new Client();
  for (let moduleId = 0; moduleId < 65; moduleId++) {
    const operation = operationOn(first, { moduleId });
    client.told(client.send(operation), operation, 100);
  }
  assertEquals(client.sends(operationOn(first, { moduleId: 64 })), false);
  assertEquals(client.sends(operationOn(first, { moduleId: 1 })), false);
  assertEquals(client.sends(operationOn(first, { moduleId: 0 })), true);
});

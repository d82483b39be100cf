import { assertEquals, assertRejects } from "@std/assert";
import { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import { type OperationCarrier, submitOperation } from "./operation_carrier.ts";
import type { OperationResult } from "./operation_codec.ts";
import type { OperationTarget } from "./operation_target.ts";

const RESULT: OperationResult = {
  object: Uint8Array.of(7),
  replies: [],
  replicas: [],
};

/** Keeps the operations it is given; the test answers them. */
class Carrier implements OperationCarrier {
  readonly taken: string[] = [];
  target: OperationTarget | undefined;
  submit(
    bytes: Uint8Array,
    start: number,
    end: number,
    target: OperationTarget,
  ): void {
    this.taken.push(bytes.slice(start, end).toHex());
    this.target = target;
  }
}

function operation(): ByteWriter {
  const into = new ByteWriter(64);
  into.u16(0x0102);
  return into;
}

Deno.test("submitOperation() submits what was written and resolves to the converted result", async () => {
  const carrier = new Carrier();
  const object = submitOperation(
    carrier,
    operation(),
    undefined,
    ({ object }) => object,
  );
  assertEquals(carrier.taken, ["0102"]);
  carrier.target!.operationDone(RESULT);
  assertEquals(await object, Uint8Array.of(7));
});

Deno.test("submitOperation() fails with the converted error of the operation", async () => {
  const carrier = new Carrier();
  const plain = submitOperation(carrier, operation(), undefined, () => 0);
  carrier.target!.operationFailed(new WhorlError("timeout", "Too late"));
  assertEquals(
    (await assertRejects(() => plain, WhorlError, "Too late")).code,
    "timeout",
  );
  const renamed = submitOperation(
    carrier,
    operation(),
    undefined,
    () => 0,
    (error) => new WhorlError("value_too_large", error.message),
  );
  carrier.target!.operationFailed(new WhorlError("vnode_error", "Too large"));
  assertEquals(
    (await assertRejects(() => renamed, WhorlError, "Too large")).code,
    "value_too_large",
  );
});

Deno.test("submitOperation() fails when the result cannot be converted", async () => {
  const carrier = new Carrier();
  const object = submitOperation(carrier, operation(), undefined, () => {
    throw new RangeError("not a value");
  });
  carrier.target!.operationDone(RESULT);
  await assertRejects(() => object, RangeError, "not a value");
});

Deno.test("submitOperation() can be cancelled, before it begins and while it waits", async () => {
  const carrier = new Carrier();
  const before = submitOperation(
    carrier,
    operation(),
    AbortSignal.abort(),
    () => 0,
  );
  assertEquals(
    (await assertRejects(() => before, WhorlError)).code,
    "cancelled",
  );
  assertEquals(carrier.taken, []);
  const controller = new AbortController();
  const during = submitOperation(
    carrier,
    operation(),
    controller.signal,
    () => 0,
  );
  controller.abort();
  assertEquals(
    (await assertRejects(() => during, WhorlError)).code,
    "cancelled",
  );
  // A later outcome is ignored.
  carrier.target!.operationDone(RESULT);
});

Deno.test("submitOperation() removes its listener, so that one signal can serve many operations", async () => {
  const carrier = new Carrier();
  const { signal } = new AbortController();
  let listeners = 0;
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (
    ...given: Parameters<AbortSignal["addEventListener"]>
  ) => {
    listeners++;
    addEventListener.apply(signal, given);
  };
  signal.removeEventListener = (
    ...given: Parameters<AbortSignal["removeEventListener"]>
  ) => {
    listeners--;
    removeEventListener.apply(signal, given);
  };
  const done = submitOperation(carrier, operation(), signal, () => 1);
  carrier.target!.operationDone(RESULT);
  const failed = submitOperation(carrier, operation(), signal, () => 1);
  carrier.target!.operationFailed(new WhorlError("timeout", "Too late"));
  assertEquals(await done, 1);
  await assertRejects(() => failed, WhorlError, "Too late");
  assertEquals(listeners, 0);
});

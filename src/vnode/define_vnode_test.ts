import { assertEquals, assertThrows } from "@std/assert";
import { ByteReader } from "../base/byte_reader.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import {
  bytesCodec,
  command,
  COMMANDS_MAX,
  defineVnode,
  nothingCodec,
} from "./define_vnode.ts";
import type {
  CommandCodec,
  FailureOf,
  ReplyOf,
  RequestOf,
  Vnode,
} from "./vnode.ts";

/** Callbacks of a vnode without data. */
const withoutData = {
  fold: () => [],
  encodeHandoffItem: () => null,
  handleHandoffData: () => {},
  isEmpty: () => true,
  delete: () => {},
};

function roundTrip<T>(codec: CommandCodec<T>, value: T): T {
  const into = new ByteWriter();
  into.u8(7);
  codec.encode(value, into);
  return codec.decode(new ByteReader(into.copy(), 1));
}

Deno.test("command() encodes plain data, and undefined as no bytes", () => {
  const { request, reply, failures } = command<
    { by: number; note?: string },
    number[] | undefined
  >();
  assertEquals(roundTrip(request, { by: 2, note: "ü" }), {
    by: 2,
    note: "ü",
  });
  assertEquals(roundTrip(reply, [1, -2, 3.5]), [1, -2, 3.5]);
  assertEquals(roundTrip(reply, undefined), undefined);
  assertEquals(failures, []);
});

Deno.test("command() refuses to decode bytes that are not exactly one value", () => {
  const { request } = command<string, string>();
  for (const bytes of [[0xc1], [0xa5, 97], [0xc0, 0xc0]]) {
    const error = assertThrows(
      () => request.decode(new ByteReader(new Uint8Array(bytes))),
      WhorlError,
    );
    assertEquals(error.code, "protocol_error");
  }
});

Deno.test("bytesCodec passes bytes through and nothingCodec refuses any", () => {
  const bytes = new Uint8Array([1, 2, 3]);
  assertEquals(roundTrip(bytesCodec, bytes), bytes);
  assertEquals(roundTrip(nothingCodec, undefined), undefined);
  assertThrows(
    () => nothingCodec.decode(new ByteReader(bytes)),
    WhorlError,
    "3 bytes follow",
  );
});

Deno.test("defineVnode() gives handlers the types that the commands declare", async () => {
  const commands = {
    add: command<{ by: number }, number, "too_large">({
      failures: ["too_large"],
    }),
    echo: command({ request: bytesCodec, reply: bytesCodec }),
  };
  const module = defineVnode({
    name: "counter_2",
    commands,
    init: () => {
      let sum = 0;
      return {
        ...withoutData,
        handleCommand: {
          add: ({ by }) => sum += by,
          echo: (bytes) => Promise.resolve(bytes),
        },
      };
    },
  });
  assertEquals(module.name, "counter_2");
  assertEquals(module.coverage, {});
  const vnode: Vnode<typeof commands> = await module.init(
    0,
    undefined as never,
  );
  assertEquals(vnode.handleCommand.add({ by: 2 }, undefined as never), 2);
  assertEquals(vnode.handleCommand.add({ by: 3 }, undefined as never), 5);
  // These lines hold if they compile.
  const request: RequestOf<typeof commands.add> = { by: 1 };
  const reply: ReplyOf<typeof commands.add> = 1;
  const failure: FailureOf<typeof commands.add> = "too_large";
  assertEquals([request.by, reply, failure], [1, 1, "too_large"]);
});

Deno.test("defineVnode() refuses a module with an invalid name, command or init", () => {
  const init = () => ({ ...withoutData, handleCommand: {} }) as never;
  const many = Object.fromEntries(
    Array.from({ length: COMMANDS_MAX + 1 }, (_, i) => [`c${i}`, command()]),
  );
  const cases: [() => unknown, string][] = [
    ...["", "Kv", "2kv", "k-v", "../kv", "k".repeat(33)].map((name) =>
      [
        () => defineVnode({ name, commands: {}, init }),
        "its name must be",
      ] as [() => unknown, string]
    ),
    [
      () => defineVnode({ name: "kv", commands: many, init }),
      "its commands may be 255: current value is 256",
    ],
    [
      () => defineVnode({ name: "kv", commands: {}, init: null as never }),
      "it must have an init function",
    ],
  ];
  for (const [define, message] of cases) {
    const error = assertThrows(define, WhorlError, message);
    assertEquals(error.code, "vnode_module_failed");
  }
});

import { assertEquals, assertThrows } from "@std/assert";
import { createHash, createHmac } from "node:crypto";
import { WhorlError } from "../base/errors.ts";
import { Cookie } from "./cookie.ts";

Deno.test("Cookie.mac() is HMAC-SHA-256 under the secret's hash, over each part with its length before it", () => {
  for (const secret of ["a", "a\0", "x".repeat(200)]) {
    const key = createHash("sha256").update(secret).digest();
    for (const sizes of [[], [0], [1, 2], [60, 0, 300], [900]]) {
      const hmac = createHmac("sha256", key);
      const parts = sizes.map((size, at) => new Uint8Array(size).fill(at + 7));
      for (const part of parts) {
        hmac.update(Uint8Array.of(0, 0, part.length >> 8, part.length));
        hmac.update(part);
      }
      const expected = new Uint8Array(hmac.digest());
      const cookie = new Cookie(secret);
      assertEquals(cookie.mac(...parts), expected);
      assertEquals(cookie.verifies(expected, ...parts), true);
      expected[31] = (expected[31] as number) ^ 1;
      assertEquals(cookie.verifies(expected, ...parts), false);
    }
  }
});

Deno.test("Cookie refuses an empty secret", () => {
  const error = assertThrows(() => new Cookie(""), WhorlError);
  assertEquals(error.code, "invalid_config");
});

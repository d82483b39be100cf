import { assertEquals } from "@std/assert";
import { createHmac } from "node:crypto";
import { seededChance } from "../base/chance.ts";
import { seededBytes } from "./seeded_bytes.ts";
import { simulatedMacUnder } from "./simulated_mac.ts";

Deno.test("simulatedMacUnder() makes the MACs of the system, whatever the length of a message", () => {
  const chance = seededChance("macs");
  for (const keyBytes of [0, 1, 32, 64]) {
    const key = seededBytes(chance, keyBytes);
    const mac = simulatedMacUnder(key);
    for (let length = 0; length < 200; length++) {
      const message = seededBytes(chance, length);
      const expected = createHmac("sha256", key).update(message).digest();
      assertEquals(mac(message), new Uint8Array(expected));
    }
  }
});

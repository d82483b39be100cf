import { assertEquals, assertThrows } from "@std/assert";
import {
  claimQuality,
  compareClaimQuality,
  windowsWithRepeat,
} from "./claim_quality.ts";

Deno.test("claimQuality() counts windows around the end of the ring", () => {
  // Repeats: caa and aab; abca, bcaa, caab and aabc.
  const ring = [..."abcdabca"];
  assertEquals(windowsWithRepeat(ring, 3), 2);
  assertEquals(windowsWithRepeat(ring, 4), 4);
});

Deno.test("claimQuality() counts a claimant that owns nothing in the spread", () => {
  const quality = claimQuality([..."aaaa"], [..."abab"], ["a", "b", "c"]);
  assertEquals(quality, {
    spread: 2,
    windowsOf3WithRepeat: 4,
    windowsOf4WithRepeat: 4,
    transfers: 2,
  });
});

Deno.test("claimQuality() refuses rings of different sizes", () => {
  assertThrows(() => claimQuality(["a"], ["a", "a"], ["a"]), RangeError);
});

Deno.test("compareClaimQuality() puts spread first and transfers last", () => {
  const ring = {
    spread: 1,
    windowsOf3WithRepeat: 2,
    windowsOf4WithRepeat: 5,
    transfers: 9,
  };
  const inOrder = [
    ring,
    { ...ring, transfers: 10 },
    { ...ring, windowsOf4WithRepeat: 6, transfers: 0 },
    { ...ring, windowsOf3WithRepeat: 3, windowsOf4WithRepeat: 0 },
    { ...ring, spread: 2, windowsOf3WithRepeat: 0 },
  ];
  for (let i = 1; i < inOrder.length; i++) {
    assertEquals(compareClaimQuality(inOrder[i - 1]!, inOrder[i]!) < 0, true);
    assertEquals(compareClaimQuality(inOrder[i]!, inOrder[i - 1]!) > 0, true);
  }
  assertEquals(compareClaimQuality(ring, { ...ring }), 0);
});

import { assertEquals } from "@std/assert";
import { roomWanted } from "./wal_spare.ts";

const MIB = 1024 * 1024;

Deno.test("roomWanted() asks for little space at first, for all of it in time, and for none too early", () => {
  const wanted = (roomBytes: number, usedBytes: number) =>
    roomWanted(roomBytes, usedBytes, 64 * MIB);
  assertEquals(wanted(0, 64 * 1024 - 1), 0);
  assertEquals(wanted(0, 64 * 1024), 4 * MIB);
  assertEquals(wanted(0, 2 * MIB), 64 * MIB);
  assertEquals(wanted(4 * MIB, 1 * MIB), 0);
  assertEquals(wanted(4 * MIB, 2 * MIB), 64 * MIB);
  assertEquals(wanted(64 * MIB, 31 * MIB), 0);
  assertEquals(wanted(64 * MIB, 32 * MIB), 64 * MIB);
});

import { assertEquals } from "@std/assert";
import { Mailbox } from "./mailbox.ts";

Deno.test("Mailbox.push() refuses one message more than it holds, add() does not", () => {
  const mailbox = new Mailbox<number>(2);
  assertEquals([mailbox.push(1), mailbox.push(2), mailbox.push(3)], [
    true,
    true,
    false,
  ]);
  mailbox.add(4);
  assertEquals(mailbox.length, 3);
  assertEquals([mailbox.shift(), mailbox.shift(), mailbox.shift()], [1, 2, 4]);
  assertEquals(mailbox.shift(), undefined);
});

Deno.test("Mailbox keeps the order while it grows and wraps around", () => {
  const mailbox = new Mailbox<number>();
  let sent = 0;
  let taken = 0;
  for (let round = 1; round < 200; round++) {
    for (let i = 0; i < round % 23; i++) mailbox.push(sent++);
    for (let i = 0; i < round % 19; i++) {
      const message = mailbox.shift();
      if (message === undefined) break;
      assertEquals(message, taken++);
    }
    assertEquals(mailbox.length, sent - taken);
  }
});

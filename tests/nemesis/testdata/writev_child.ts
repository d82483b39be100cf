/**
 * Writes to the file that it is given first by `writev` of the library that it is
 * given second, in parts of the lengths that come after, and says how much was
 * taken. Deno itself has no call that ends there.
 *
 * @module
 */
const [path, library, ...lengths] = Deno.args as [string, string, ...string[]];
using file = Deno.openSync(path, { write: true, create: true });
const fd = [...Deno.readDirSync("/proc/self/fd")].map(({ name }) => name)
  .find((name) => target(name) === path);
const c = Deno.dlopen(library, {
  writev: { parameters: ["i32", "buffer", "i32"], result: "isize" },
});
const parts = lengths.map((length) => new Uint8Array(Number(length)).fill(7));
// Each is an address and a length of eight bytes.
const vector = new BigUint64Array(parts.flatMap((part) => [
  BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(part))),
  BigInt(part.length),
]));
const taken = c.symbols.writev(Number(fd), vector, parts.length);
c.close();
const { size } = file.statSync();
await Deno.stdout.write(
  new TextEncoder().encode(JSON.stringify({ taken: Number(taken), size })),
);

function target(fd: string): string | undefined {
  try {
    return Deno.readLinkSync(`/proc/self/fd/${fd}`);
  } catch (error) {
    // That of the listing itself is closed by now.
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

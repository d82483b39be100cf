/**
 * The driver's side of `fault_library.c`: compiles it, and tells it through a
 * control file, which a node has mapped, what to do from now on.
 *
 * @module
 */

/** What a node's library is told, in the order of the file; all numbers are whole. */
const ORDERS = [
  "syncDelayUs",
  "syncErrorPpm",
  "writeErrorPpm",
  "full",
  "clockOffsetUs",
  "clockRatePpm",
  "shortWritePpm",
] as const;
/** What it has done, in the order of the file. */
const COUNTS = ["syncsDelayed", "errors", "refusals", "shortWrites"] as const;
const FIELD_BYTES = 8;

/** What a node's disk and clock are to suffer; 0 is nothing. */
export type DiskOrders = { readonly [Name in (typeof ORDERS)[number]]: number };
/** What they have suffered. */
export type DiskCounts = { readonly [Name in (typeof COUNTS)[number]]: number };

/** Orders that do nothing. */
export const NO_ORDERS: DiskOrders = {
  syncDelayUs: 0,
  syncErrorPpm: 0,
  writeErrorPpm: 0,
  full: 0,
  clockOffsetUs: 0,
  clockRatePpm: 0,
  shortWritePpm: 0,
};

const SOURCE = new URL("fault_library.c", import.meta.url).pathname;
const COMPILERS = ["cc", "gcc", "clang"];

/** A compiled library, or why there is none. */
export type FaultLibrary =
  | { readonly path: string }
  | { readonly missing: string };

/** Compiles the library into `folder`. */
export async function compileFaultLibrary(
  folder: string,
): Promise<FaultLibrary> {
  if (Deno.build.os !== "linux") {
    return { missing: `LD_PRELOAD is of Linux, this is ${Deno.build.os}` };
  }
  const path = `${folder}/fault_library.so`;
  let missing = `no compiler: none of ${COMPILERS.join(", ")} is there`;
  for (const compiler of COMPILERS) {
    try {
      const { success, stderr } = await new Deno.Command(compiler, {
        args: ["-shared", "-fPIC", "-O2", "-o", path, SOURCE, "-ldl"],
        stdout: "null",
        stderr: "piped",
      }).output();
      if (success) return { path };
      missing = `${compiler} failed: ${
        new TextDecoder().decode(stderr).trim().split("\n")[0]
      }`;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return { missing };
}

/** The disk and the clock of one node, over all its lives. */
export class DiskControl {
  readonly #library: string;
  readonly #path: string;
  readonly #folder: string;
  #orders: DiskOrders = NO_ORDERS;

  /**
   * @param library The compiled library.
   * @param path The control file, which is made.
   * @param folder The only files that suffer are below it.
   */
  constructor(library: string, path: string, folder: string) {
    this.#library = library;
    this.#path = path;
    this.#folder = folder;
    const bytes = (ORDERS.length + COUNTS.length) * FIELD_BYTES;
    Deno.writeFileSync(path, new Uint8Array(bytes));
  }

  /** What a process needs in its environment to be under this control. */
  get environment(): Record<string, string> {
    return {
      LD_PRELOAD: this.#library,
      WHORL_FAULT_CONTROL: this.#path,
      WHORL_FAULT_FOLDER: this.#folder,
    };
  }

  /** Changes what the disk and the clock suffer from now on. */
  order(changes: Partial<DiskOrders>): void {
    this.#orders = { ...this.#orders, ...changes };
    const bytes = new Uint8Array(ORDERS.length * FIELD_BYTES);
    const view = new DataView(bytes.buffer);
    for (const [i, name] of ORDERS.entries()) {
      view.setBigInt64(i * FIELD_BYTES, BigInt(this.#orders[name]), true);
    }
    // In place: a new file would not be the one that is mapped.
    using file = Deno.openSync(this.#path, { write: true });
    file.writeSync(bytes);
  }

  /** What the disk has suffered so far. */
  counts(): DiskCounts {
    const view = new DataView(Deno.readFileSync(this.#path).buffer);
    const count = (i: number): number =>
      Number(view.getBigInt64((ORDERS.length + i) * FIELD_BYTES, true));
    return {
      syncsDelayed: count(0),
      errors: count(1),
      refusals: count(2),
      shortWrites: count(3),
    };
  }
}

/** What several disks have suffered together. */
export function totalCounts(disks: readonly DiskControl[]): DiskCounts {
  const all = disks.map((disk) => disk.counts());
  const total = (name: keyof DiskCounts): number =>
    all.reduce((sum, counts) => sum + counts[name], 0);
  return {
    syncsDelayed: total("syncsDelayed"),
    errors: total("errors"),
    refusals: total("refusals"),
    shortWrites: total("shortWrites"),
  };
}

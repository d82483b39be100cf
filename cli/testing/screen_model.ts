/**
 * What a terminal shows of what is written to it: lines, line feeds that scroll,
 * carriage returns, and the few movements and erasures the command line uses.
 *
 * @module
 */

/** A screen without colours. */
export class ScreenModel {
  #columns: number;
  #rows: number;
  /** What has scrolled off included. */
  #lines: string[] = [""];
  #row = 0;
  #column = 0;

  constructor(columns: number, rows: number) {
    this.#columns = columns;
    this.#rows = rows;
  }

  /** Writes `text` and returns the lines on the screen, the cursor's the last or later. */
  feed(text: string): string[] {
    // deno-lint-ignore no-control-regex -- these are what is looked for.
    for (const [part] of text.matchAll(/\x1b\[(\d*)[A-Za-z]|[\s\S]/gu)) {
      this.#take(part);
    }
    return this.#lines.slice(this.#top);
  }

  get #top(): number {
    return Math.max(0, this.#lines.length - this.#rows);
  }

  #take(part: string): void {
    if (part === "\n") return this.#lineFeed();
    if (part === "\r") return void (this.#column = 0);
    if (!part.startsWith("\x1b")) return this.#put(part);
    const count = Number(part.slice(2, -1) || 1);
    switch (part.at(-1)) {
      case "A":
        this.#row = Math.max(this.#top, this.#row - count);
        return;
      case "K":
        this.#erase();
        return;
      case "J":
        this.#erase();
        this.#lines.length = this.#row + 1;
        return;
      case "m":
        return;
      default:
        throw new Error(`not modelled: ${JSON.stringify(part)}`);
    }
  }

  #erase(): void {
    this.#lines[this.#row] = this.#lines[this.#row]!.slice(0, this.#column);
  }

  #put(character: string): void {
    if (this.#column === this.#columns) this.#lineFeed();
    const line = this.#lines[this.#row]!;
    this.#lines[this.#row] = line.slice(0, this.#column) + character +
      line.slice(this.#column + 1);
    this.#column++;
  }

  #lineFeed(): void {
    this.#row++;
    this.#column = 0;
    if (this.#row === this.#lines.length) this.#lines.push("");
  }
}

/** The parts of one call, which end in any order. The call is over when none of them is left. */
export class CallParts {
  isOver = false;
  private open = 0;

  constructor(private readonly onOver: () => void) {}

  /** @returns what ends the part; idempotent */
  begin(): () => void {
    let isOpen = true;
    this.open++;
    return () => {
      if (!isOpen) return;
      isOpen = false;
      if (--this.open > 0) return;
      this.isOver = true;
      this.onOver();
    };
  }
}

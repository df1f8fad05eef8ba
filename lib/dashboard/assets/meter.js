import { h, setShare, setShortText } from './dom.js';
import { count, shortCount } from './format.js';

/** How much of a limit is used: a bar, and the figures beside it. */
export function meter() {
  const fill = h('span', { class: 'fill' });
  const text = h('span', { class: 'meter-text' }, '–');
  const track = h('span', { class: 'track', 'aria-hidden': 'true' }, fill);
  const element = h('span', { class: 'meter' }, track, text);
  return {
    element,
    /**
     * A full semaphore is worth a colour when somebody waits for it.
     * @param {number | null} permits null: not known yet; 0: none is known to the store
     */
    show(held, permits, waiting) {
      element.classList.toggle('is-full', permits > 0 && held >= permits && waiting > 0);
      element.classList.toggle('is-over', permits !== null && held > permits);
      setShare(fill, '--share', permits > 0 ? held / permits : Number(held > 0));
      const told = (format) =>
        permits === null ? '–' : `${format(held)} / ${permits > 0 ? format(permits) : '–'}`;
      setShortText(text, told(shortCount), told(count));
    },
  };
}

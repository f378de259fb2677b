// The language of the pages. Code contains English sentences; web/languages has them in other languages.
//
// The dictionary is loaded before any module that imports this one runs, so `t` also works in constants.

/** The languages that can be chosen, by code, each by its own name. */
export const LANGUAGES = { en: "English", de: "Deutsch", es: "Español" };

const base = (tag) => tag.split("-")[0].toLowerCase();

/** The code of the language to use: what the person chose, else what the browser prefers, else English. */
export const pick = (kept, preferred) =>
  [kept ?? "", ...preferred.map(base)].find((code) => Object.hasOwn(LANGUAGES, code)) ?? "en";

/** Functions that put sentences into a language: {t, plural}. `locale` says how numbers are written. */
export function translator(dictionary, language, locale = language) {
  const rules = new Intl.PluralRules(language);
  const numbers = new Intl.NumberFormat(locale);
  const own = (sentence) => (Object.hasOwn(dictionary, sentence) ? dictionary[sentence] : null);
  const written = (value) => (typeof value === "number" ? numbers.format(value) : String(value));
  const fill = (sentence, values) =>
    sentence.replace(/\{(\w+)\}/g, (whole, name) => (Object.hasOwn(values, name) ? written(values[name]) : whole));
  return {
    /** A sentence with `values` in place of its {placeholders}. */
    t: (sentence, values = {}) => fill(own(sentence) ?? sentence, values),
    /** The form for a number: `forms` are {one, other}, and {n} in them is the number. */
    plural: (n, forms, values = {}) => {
      const translated = own(forms.other) ?? forms;
      return fill(translated[rules.select(n)] ?? translated.other, { n, ...values });
    },
  };
}

const preferred = globalThis.navigator?.languages ?? [];

export const language = pick(globalThis.localStorage?.getItem("language"), preferred);

// The person's own region, if it is one of the language's.
const locale = preferred.find((tag) => base(tag) === language) ?? language;

export const dateFormat = (options) => new Intl.DateTimeFormat(locale, options);
export const numberFormat = (options) => new Intl.NumberFormat(locale, options);

async function dictionary(code) {
  if (code === "en") return {};
  try {
    const response = await fetch(new URL(`../languages/${code}.json`, import.meta.url));
    return response.ok ? await response.json() : {};
  } catch (error) {
    console.error(error); // The pages are in English then.
    return {};
  }
}

export const { t, plural } = translator(await dictionary(language), language, locale);

if (globalThis.document) document.documentElement.lang = language;

/** Changes the language. Reloads the page, because every sentence on it changes. */
export function chooseLanguage(code) {
  localStorage.setItem("language", code);
  location.reload();
}

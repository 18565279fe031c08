package io.github.trillspeech.core;

import java.text.Normalizer;
import java.util.Locale;

/** Names as people type them, made safe to store and to show. */
public final class Labels {
    /** In code points: what a small screen shows. */
    public static final int MAX_LENGTH = 40;

    private static final int ZWNJ = 0x200C; // Persian and Indic names need it
    private static final int ZWJ = 0x200D; // so do these, and emoji

    private Labels() {}

    /**
     * The name without control characters, marks that turn the direction of text, and needless spaces.
     *
     * @throws IllegalArgumentException if nothing visible is left, or it is too long; fit to be shown.
     */
    public static String clean(String typed) {
        StringBuilder kept = new StringBuilder();
        boolean visible = false;
        for (int point : typed.codePoints().toArray()) {
            int type = Character.getType(point);
            if (Character.isWhitespace(point) || Character.isSpaceChar(point)) {
                if (kept.length() > 0 && kept.charAt(kept.length() - 1) != ' ') {
                    kept.append(' ');
                }
            } else if (point == ZWNJ || point == ZWJ || isText(type)) {
                kept.appendCodePoint(point);
                visible |= point != ZWNJ && point != ZWJ && !isMark(type);
            }
        }
        // Last: characters that are removed may have kept others from combining.
        String label = Normalizer.normalize(kept, Normalizer.Form.NFC).trim();
        int length = label.codePointCount(0, label.length());
        if (!visible || length > MAX_LENGTH) {
            throw new IllegalArgumentException("a name has 1 to " + MAX_LENGTH + " visible characters, got "
                    + (visible ? length : 0) + ". Type another.");
        }
        return label;
    }

    /** Whether two cleaned names would be read as one: letter case and width of characters do not matter. */
    public static boolean same(String a, String b) {
        return key(a).equals(key(b));
    }

    private static String key(String label) {
        return Normalizer.normalize(label, Normalizer.Form.NFKC).toLowerCase(Locale.ROOT);
    }

    private static boolean isText(int type) {
        return type != Character.CONTROL
                && type != Character.FORMAT
                && type != Character.SURROGATE // half a character
                && type != Character.PRIVATE_USE
                && type != Character.UNASSIGNED;
    }

    private static boolean isMark(int type) {
        return type == Character.NON_SPACING_MARK
                || type == Character.ENCLOSING_MARK
                || type == Character.COMBINING_SPACING_MARK;
    }
}

package io.github.trillspeech.core;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * JSON (RFC 8259) as Map, List, String, Double, Boolean and null: all that a model's card needs. Android's own reader
 * is not there on other JVMs.
 */
final class Json {
    private static final int MAX_DEPTH = 64;

    private final String text;
    private int at;

    private Json(String text) {
        this.text = text;
    }

    /** @throws IllegalArgumentException if the text is not JSON, says where. */
    static Object parse(String text) {
        Json json = new Json(text);
        Object value = json.value(0);
        json.skipSpace();
        json.require(json.at == text.length(), "nothing behind the value");
        return value;
    }

    private Object value(int depth) {
        require(depth < MAX_DEPTH, "at most " + MAX_DEPTH + " levels");
        skipSpace();
        require(at < text.length(), "a value");
        switch (text.charAt(at)) {
            case '{':
                return object(depth);
            case '[':
                return array(depth);
            case '"':
                return string();
            case 't':
                return word("true", Boolean.TRUE);
            case 'f':
                return word("false", Boolean.FALSE);
            case 'n':
                return word("null", null);
            default:
                return number();
        }
    }

    private Map<String, Object> object(int depth) {
        Map<String, Object> members = new LinkedHashMap<>();
        at++;
        skipSpace();
        if (take('}')) {
            return members;
        }
        do {
            skipSpace();
            require(at < text.length() && text.charAt(at) == '"', "a name");
            String name = string();
            skipSpace();
            require(take(':'), "a colon");
            members.put(name, value(depth + 1));
            skipSpace();
        } while (take(','));
        require(take('}'), "a closing brace");
        return members;
    }

    private List<Object> array(int depth) {
        List<Object> values = new ArrayList<>();
        at++;
        skipSpace();
        if (take(']')) {
            return values;
        }
        do {
            values.add(value(depth + 1));
            skipSpace();
        } while (take(','));
        require(take(']'), "a closing bracket");
        return values;
    }

    private String string() {
        StringBuilder read = new StringBuilder();
        at++;
        while (!take('"')) {
            require(at < text.length() && text.charAt(at) >= ' ', "a closing quote");
            char next = text.charAt(at++);
            read.append(next == '\\' ? escaped() : next);
        }
        return read.toString();
    }

    private char escaped() {
        require(at < text.length(), "an escape");
        char kind = text.charAt(at++);
        if (kind == 'u') {
            require(text.length() - at >= 4 && text.substring(at, at + 4).matches("[0-9a-fA-F]{4}"), "four digits");
            at += 4;
            return (char) Integer.parseInt(text.substring(at - 4, at), 16);
        }
        int index = "\"\\/bfnrt".indexOf(kind);
        require(index >= 0, "an escape");
        return "\"\\/\b\f\n\r\t".charAt(index);
    }

    private Double number() {
        int start = at;
        while (at < text.length() && "+-.0123456789eE".indexOf(text.charAt(at)) >= 0) {
            at++;
        }
        String number = text.substring(start, at);
        require(number.matches("-?(0|[1-9]\\d*)(\\.\\d+)?([eE][+-]?\\d+)?"), "a number");
        return Double.valueOf(number);
    }

    private <T> T word(String word, T value) {
        require(text.startsWith(word, at), word);
        at += word.length();
        return value;
    }

    private boolean take(char wanted) {
        boolean found = at < text.length() && text.charAt(at) == wanted;
        at += found ? 1 : 0;
        return found;
    }

    private void skipSpace() {
        while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) {
            at++;
        }
    }

    private void require(boolean sound, String wanted) {
        if (!sound) {
            throw new IllegalArgumentException("JSON wants " + wanted + " at character " + at);
        }
    }
}

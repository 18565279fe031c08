import java.io.File;
import java.io.FileInputStream;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.codehaus.mojo.animal_sniffer.SignatureChecker;
import org.codehaus.mojo.animal_sniffer.logging.Logger;

/** Fails when classes call what the smallest Android version lacks: java ApiCheck.java SIGNATURES FOLDER... */
public final class ApiCheck {
    /** Beside our own packages: the runtime's, and what records are made of, which D8 replaces. */
    private static final Set<String> IGNORED =
            Set.of("org.tensorflow.lite.*", "java.lang.Record", "java.lang.runtime.ObjectMethods");

    /** D8 replaces them by the methods of Buffer, too (dexdump shows it). */
    private static final Pattern REPLACED =
            Pattern.compile("java\\.nio\\.ByteBuffer\\.(clear|flip|limit|mark|position|reset|rewind)\\(");

    public static void main(String[] arguments) throws Exception {
        List<String> folders = List.of(arguments).subList(1, arguments.length);
        Set<String> ignored = new HashSet<>(IGNORED);
        for (String folder : folders) {
            ignored.addAll(packages(Path.of(folder)));
        }
        Errors errors = new Errors();
        for (String folder : folders) {
            try (InputStream signatures = new FileInputStream(arguments[0])) {
                SignatureChecker checker = new SignatureChecker(signatures, ignored, errors);
                checker.setSourcePath(List.of());
                checker.process(new File(folder));
            }
        }
        System.exit(errors.count == 0 ? 0 : 1);
    }

    private static Set<String> packages(Path root) throws Exception {
        try (var files = Files.walk(root)) {
            return files.filter(path -> path.toString().endsWith(".class"))
                    .map(path -> root.relativize(path.getParent()).toString().replace('/', '.') + ".*")
                    .collect(Collectors.toSet());
        }
    }

    private static final class Errors implements Logger {
        private int count;

        @Override
        public void error(String message) {
            if (!REPLACED.matcher(message).find()) {
                count++;
                System.err.println(message);
            }
        }

        @Override
        public void error(String message, Throwable cause) {
            error(message + ": " + cause);
        }

        @Override
        public void warn(String message) {
            System.err.println(message);
        }

        @Override
        public void warn(String message, Throwable cause) {
            warn(message + ": " + cause);
        }

        @Override
        public void info(String message) {}

        @Override
        public void info(String message, Throwable cause) {}

        @Override
        public void debug(String message) {}

        @Override
        public void debug(String message, Throwable cause) {}
    }
}

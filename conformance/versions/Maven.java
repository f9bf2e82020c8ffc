// Orders versions as `ComparableVersion` of maven-artifact does.
//
// Reads two texts a line, in hexadecimal UTF-8 with a space between them; answers each line with <, = or >.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import org.apache.maven.artifact.versioning.ComparableVersion;

public final class Maven {
    private Maven() {}

    private static ComparableVersion version(String text) {
        byte[] bytes = HexFormat.of().parseHex(text);
        return new ComparableVersion(new String(bytes, StandardCharsets.UTF_8));
    }

    public static void main(String[] arguments) throws Exception {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        StringBuilder answers = new StringBuilder();
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] texts = line.split(" ", -1);
            int order = Integer.signum(version(texts[0]).compareTo(version(texts[1])));
            answers.append("<=>".charAt(order + 1)).append('\n');
        }
        System.out.print(answers);
    }
}

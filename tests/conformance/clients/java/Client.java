import java.util.Scanner;
import software.amazon.awssdk.services.sts.StsClient;

/** What does a service written in Java see? One client object for its life, and a line of JSON for each line it is sent. */
public final class Client {
    private static StsClient kept;

    private Client() {}

    public static void main(String[] arguments) {
        Scanner lines = new Scanner(System.in);
        while (lines.hasNextLine()) {
            if (lines.nextLine().strip().equals("fresh") && kept != null) {
                kept.close();
                kept = null;
            }
            System.out.println(call());
            System.out.flush();
        }
    }

    /** One signed request, with the client that is there already, if one is. */
    private static String call() {
        long begun = System.nanoTime();
        try {
            if (kept == null) {
                kept = StsClient.create();
            }
            String arn = kept.getCallerIdentity().arn();
            return "{\"ok\": true, \"seconds\": " + since(begun) + ", \"said\": " + quoted(arn) + "}";
        } catch (RuntimeException error) {
            String message = String.valueOf(error.getMessage()).strip().replaceAll("\\s+", " ");
            String words = error.getClass().getSimpleName() + ": " + message.substring(0, Math.min(message.length(), 200));
            return "{\"ok\": false, \"seconds\": " + since(begun) + ", \"error\": " + quoted(words) + "}";
        }
    }

    private static double since(long begun) {
        return (System.nanoTime() - begun) / 1e9;
    }

    /** A string as JSON has it; there are no control characters left in what comes here but by malice. */
    private static String quoted(String words) {
        StringBuilder written = new StringBuilder("\"");
        for (char letter : words.toCharArray()) {
            if (letter == '"' || letter == '\\') {
                written.append('\\').append(letter);
            } else if (letter < ' ') {
                written.append(String.format("\\u%04x", (int) letter));
            } else {
                written.append(letter);
            }
        }
        return written.append('"').toString();
    }
}

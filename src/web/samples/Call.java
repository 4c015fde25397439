import java.net.URI;
import java.net.URLDecoder;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.util.*;
import java.util.stream.Collectors;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

public class Call {
    static final String CLIENT_KEY = {{client_key}};
    static final String CLIENT_SECRET = {{client_secret}};
    static final String TOKEN = {{token}};
    static final String TOKEN_SECRET = {{token_secret}};

    static String encode(String text) {
        return URLEncoder.encode(text, StandardCharsets.UTF_8).replace("+", "%20").replace("*", "%2A").replace("%7E", "~");
    }

    /** The Authorization header of a request. form: pairs of a form body. */
    static String authorization(String method, String url, String[]... form) throws Exception {
        String[] parts = url.split("\\?", 2);
        Map<String, String> oauth = new LinkedHashMap<>();
        oauth.put("oauth_consumer_key", CLIENT_KEY);
        oauth.put("oauth_nonce", UUID.randomUUID().toString());
        oauth.put("oauth_signature_method", "{{method}}");
        oauth.put("oauth_timestamp", String.valueOf(System.currentTimeMillis() / 1000));
        oauth.put("oauth_token", TOKEN);
        List<String[]> pairs = new ArrayList<>(List.of(form));
        oauth.forEach((name, value) -> pairs.add(new String[] {name, value}));
        for (String pair : parts.length > 1 ? parts[1].split("&") : new String[0]) {
            String[] both = (pair + "=").split("=", -1);
            pairs.add(new String[] {
                URLDecoder.decode(both[0], StandardCharsets.UTF_8), URLDecoder.decode(both[1], StandardCharsets.UTF_8)
            });
        }
        String normalized = pairs.stream()
            .map(pair -> new String[] {encode(pair[0]), encode(pair[1])})
            .sorted(Comparator.<String[], String>comparing(pair -> pair[0]).thenComparing(pair -> pair[1]))
            .map(pair -> pair[0] + "=" + pair[1])
            .collect(Collectors.joining("&"));
        String base = method + "&" + encode(parts[0]) + "&" + encode(normalized);
        String key = encode(CLIENT_SECRET) + "&" + encode(TOKEN_SECRET);
        Mac mac = Mac.getInstance("Hmac{{HASH}}");
        mac.init(new SecretKeySpec(key.getBytes(StandardCharsets.UTF_8), mac.getAlgorithm()));
        byte[] signature = mac.doFinal(base.getBytes(StandardCharsets.UTF_8));
        oauth.put("oauth_signature", Base64.getEncoder().encodeToString(signature));
        return "OAuth " + oauth.entrySet().stream()
            .map(field -> field.getKey() + "=\"" + encode(field.getValue()) + "\"")
            .collect(Collectors.joining(", "));
    }

    public static void main(String[] arguments) throws Exception {
        String url = {{url}};
        HttpRequest request = HttpRequest.newBuilder(URI.create(url)).header("Authorization", authorization("GET", url)).build();
        System.out.println(HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString()).body());
    }
}

// The JDK's two HTTP clients, which answer a 401 by themselves. In: URL, username, password, client key, Host header.
// Out: a line of JSON with the statuses.
import java.net.Authenticator;
import java.net.HttpURLConnection;
import java.net.PasswordAuthentication;
import java.net.URI;
import java.net.URL;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

public class Http {
    public static void main(String[] given) throws Exception {
        String url = given[0], clientKey = given[3], host = given[4];
        Authenticator authenticator = new Authenticator() {
            @Override
            protected PasswordAuthentication getPasswordAuthentication() {
                return new PasswordAuthentication(given[1], given[2].toCharArray());
            }
        };
        HttpClient client = HttpClient.newBuilder().authenticator(authenticator).build();
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(url));
        request.header("X-Client-Key", clientKey).header("Host", host);
        HttpResponse<String> answer = client.send(request.build(), HttpResponse.BodyHandlers.ofString());

        Authenticator.setDefault(authenticator);
        HttpURLConnection connection = (HttpURLConnection) new URL(url).openConnection();
        connection.setRequestProperty("X-Client-Key", clientKey);
        connection.setRequestProperty("Host", host);
        int old = connection.getResponseCode();
        String body = old == 200 ? new String(connection.getInputStream().readAllBytes(), "UTF-8") : "null";
        System.out.printf(
                "{\"new\":%d,\"old\":%d,\"new_identity\":%s,\"old_identity\":%s}%n",
                answer.statusCode(), old, answer.statusCode() == 200 ? answer.body() : "null", body);
    }
}

// Signpost does the dance. See test_other_languages.py for what goes in and out.
import java.io.BufferedReader;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.net.HttpURLConnection;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import oauth.signpost.OAuth;
import oauth.signpost.OAuthConsumer;
import oauth.signpost.basic.DefaultOAuthConsumer;
import oauth.signpost.basic.DefaultOAuthProvider;
import oauth.signpost.exception.OAuthNotAuthorizedException;
import oauth.signpost.http.HttpParameters;

public class Signpost {
    static String body;

    static DefaultOAuthProvider provider(String base) {
        return new DefaultOAuthProvider(
                base + "/oauth/request_token", base + "/oauth/access_token", base + "/oauth/authorize");
    }

    /** A signed request; the status, and the answer's text in `body`. */
    static int send(OAuthConsumer consumer, String method, String url, String form) throws Exception {
        HttpURLConnection connection = (HttpURLConnection) new URL(url).openConnection();
        connection.setRequestMethod(method);
        if (form != null) {
            HttpParameters parameters = new HttpParameters();
            parameters.putAll(OAuth.decodeForm(form), true);
            consumer.setAdditionalParameters(parameters);
            connection.setDoOutput(true);
        }
        consumer.sign(connection);
        consumer.setAdditionalParameters(null);
        if (form != null) {
            // Only after signing: with this header Signpost would read the body, which it can't get here.
            connection.setRequestProperty("Content-Type", "application/x-www-form-urlencoded");
            connection.getOutputStream().write(form.getBytes(StandardCharsets.UTF_8));
        }
        int status = connection.getResponseCode();
        InputStream answer = status < 400 ? connection.getInputStream() : connection.getErrorStream();
        body = answer == null ? "" : new String(answer.readAllBytes(), StandardCharsets.UTF_8);
        return status;
    }

    public static void main(String[] given) throws Exception {
        String base = given[0], key = given[1], secret = given[2], callback = given[3];
        OAuthConsumer consumer = new DefaultOAuthConsumer(key, secret);
        DefaultOAuthProvider provider = provider(base);
        System.out.println(provider.retrieveRequestToken(consumer, callback));

        BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
        provider.setOAuth10a(true);
        provider.retrieveAccessToken(consumer, input.readLine());
        int me = send(consumer, "GET", base + "/v2/me", null);
        String identity = body;
        int odd = send(consumer, "GET", base + "/v2/me?name=caf%C3%A9%20%26%20more&empty=", null);
        int post = send(consumer, "POST", base + "/v2/me", "note=a+b%2Bc%26d");

        consumer.setTokenWithSecret(consumer.getToken(), "wrong");
        int wrongToken = send(consumer, "GET", base + "/v2/me", null);
        int wrongClient = 200;
        try {
            provider(base).retrieveRequestToken(new DefaultOAuthConsumer(key, "wrong"), callback);
        } catch (OAuthNotAuthorizedException refused) {
            wrongClient = 401;
        }
        System.out.printf(
                "{\"identity\":%s,\"me\":%d,\"odd\":%d,\"post\":%d,\"wrong_token_secret\":%d,\"wrong_client_secret\":%d}%n",
                identity.strip(), me, odd, post, wrongToken, wrongClient);
    }
}

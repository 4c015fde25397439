/* liboauth signs, libcurl sends. See test_other_languages.py for what goes in and out.
 * The protocol parameters travel in the query, which is how liboauth is mostly used. */
#include <curl/curl.h>
#include <oauth.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char answer[65536];
static size_t answered;

static size_t keep(char *data, size_t size, size_t count, void *unused) {
    (void)unused;
    size_t bytes = size * count;
    if (answered + bytes >= sizeof answer) return 0;
    memcpy(answer + answered, data, bytes);
    answered += bytes;
    answer[answered] = 0;
    return bytes;
}

/* Sends a request; the status, and the answer's text in `answer`. A body means POST. */
static long fetch(const char *url, const char *body) {
    CURL *curl = curl_easy_init();
    long status = 0;
    answered = 0;
    answer[0] = 0;
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, keep);
    if (body) curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    if (curl_easy_perform(curl) != CURLE_OK) exit(1);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(curl);
    return status;
}

/* The value of a field in the form-encoded answer. */
static char *field(const char *name) {
    char **pairs = NULL, *value = NULL;
    int count = oauth_split_url_parameters(answer, &pairs);
    for (int i = 0; i < count; i++) {
        size_t length = strlen(name);
        if (!strncmp(pairs[i], name, length) && pairs[i][length] == '=') value = strdup(pairs[i] + length + 1);
    }
    oauth_free_array(&count, &pairs);
    if (!value) {
        fprintf(stderr, "no %s in: %s\n", name, answer);
        exit(1);
    }
    return value;
}

static const char *key;

static long get(const char *url, const char *secret, const char *token, const char *token_secret) {
    char *made = oauth_sign_url2(url, NULL, OA_HMAC, "GET", key, secret, token, token_secret);
    long status = fetch(made, NULL);
    free(made);
    return status;
}

int main(int count, char **given) {
    if (count < 5) return 2;
    const char *base = given[1], *secret = given[3];
    char url[4096], verifier[1024], request_url[4096];
    key = given[2];

    char *callback = oauth_url_escape(given[4]);
    snprintf(request_url, sizeof request_url, "%s/oauth/request_token?oauth_callback=%s", base, callback);
    if (get(request_url, secret, NULL, NULL) != 200) {
        fprintf(stderr, "%s\n", answer);
        return 1;
    }
    char *request_token = field("oauth_token"), *request_secret = field("oauth_token_secret");
    printf("%s/oauth/authorize?oauth_token=%s\n", base, request_token);
    fflush(stdout);

    if (!fgets(verifier, sizeof verifier, stdin)) return 1;
    verifier[strcspn(verifier, "\n")] = 0;
    snprintf(url, sizeof url, "%s/oauth/access_token?oauth_verifier=%s", base, verifier);
    if (get(url, secret, request_token, request_secret) != 200) {
        fprintf(stderr, "%s\n", answer);
        return 1;
    }
    char *token = field("oauth_token"), *token_secret = field("oauth_token_secret");

    snprintf(url, sizeof url, "%s/v2/me", base);
    long me = get(url, secret, token, token_secret);
    char *identity = strdup(answer);
    long wrong_token = get(url, secret, token, "wrong");
    snprintf(url, sizeof url, "%s/v2/me?note=a%%20b%%2Bc%%26d", base);
    char *body = NULL;
    char *target = oauth_sign_url2(url, &body, OA_HMAC, "POST", key, secret, token, token_secret);
    long post = fetch(target, body);
    snprintf(url, sizeof url, "%s/v2/me?name=caf%%C3%%A9%%20%%26%%20more&empty=", base);
    long odd = get(url, secret, token, token_secret);
    long wrong_client = get(request_url, "wrong", NULL, NULL);
    printf("{\"identity\":%s,\"me\":%ld,\"odd\":%ld,\"post\":%ld,\"wrong_token_secret\":%ld,\"wrong_client_secret\":%ld}\n",
           identity, me, odd, post, wrong_token, wrong_client);
    return 0;
}

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.File;
import java.io.InputStreamReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.SQLException;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.calcite.avatica.jdbc.JdbcMeta;
import org.apache.calcite.avatica.remote.Driver.Serialization;
import org.apache.calcite.avatica.remote.LocalService;
import org.apache.calcite.avatica.server.HttpServer;
import org.apache.calcite.avatica.server.ServerCustomizer;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;

/**
 * Runs one Avatica server, on the loopback address and a database in memory, for the process at the other end of its
 * standard input.
 *
 * The protocol: one line of JSON in (the settings), one out ("port", or "failed"). Then each line is answered by what the
 * server remembers: the names of connections, and how many statements. The end of the input, which the kernel guarantees however the owner dies, ends the process.
 */
public final class AvaticaTestServer {
  private static final ObjectMapper json = new ObjectMapper();

  private interface Remembering {
    Map<String, Object> remembered();
  }

  /** Avatica's own, which also tells how much it remembers. */
  private static final class PlainMeta extends JdbcMeta implements Remembering {
    PlainMeta(String url, Properties properties) throws SQLException {
      super(url, properties);
    }

    @Override public Map<String, Object> remembered() {
      return AvaticaTestServer.remembered(getConnectionCache(), getStatementCache());
    }
  }

  /** One that behaves like LindormTable's. */
  private static final class ObservedLindormMeta extends LindormMeta implements Remembering {
    ObservedLindormMeta(String url, Properties properties, JsonNode lindorm) throws SQLException {
      super(url, properties, lindorm);
    }

    @Override public Map<String, Object> remembered() {
      return AvaticaTestServer.remembered(getConnectionCache(), getStatementCache());
    }
  }

  private static Map<String, Object> remembered(
      com.google.common.cache.Cache<?, ?> connections, com.google.common.cache.Cache<?, ?> statements) {
    // what has expired is forgotten only when somebody looks
    connections.cleanUp();
    statements.cleanUp();
    return Map.of("connections", List.copyOf(connections.asMap().keySet()), "statements", statements.size());
  }

  private static void answer(Map<String, ?> message) throws Exception {
    System.out.println(json.writeValueAsString(message));
    System.out.flush();
  }

  private static JdbcMeta meta(JsonNode settings) throws SQLException {
    // the only place where JdbcMeta looks for the settings of its caches
    Properties properties = new Properties();
    settings.get("cache").fields().forEachRemaining(each -> properties.put(each.getKey(), each.getValue().asText()));
    String name = settings.get("database").asText();
    if (settings.hasNonNull("lindorm")) {
      return new ObservedLindormMeta("jdbc:h2:mem:" + name + ";MODE=MySQL;DATABASE_TO_UPPER=FALSE;LAZY_QUERY_EXECUTION=1"
          + ";DB_CLOSE_DELAY=-1",
          properties, settings.get("lindorm"));
    }
    return new PlainMeta(
        settings.get("engine").asText().equals("h2")
            ? "jdbc:h2:mem:" + name + ";DB_CLOSE_DELAY=-1;LAZY_QUERY_EXECUTION=1"
                + ";DATABASE_TO_UPPER=FALSE;CASE_INSENSITIVE_IDENTIFIERS=TRUE"
            : "jdbc:hsqldb:mem:" + name + ";hsqldb.tx=mvcc",
        properties);
  }

  private static void listen(Server server, JsonNode settings) {
    for (var connector : server.getConnectors()) {
      // else it would listen on every address
      ((ServerConnector) connector).setHost("127.0.0.1");
      if (settings.hasNonNull("idleMillis")) {
        ((ServerConnector) connector).setIdleTimeout(settings.get("idleMillis").asLong());
      }
    }
  }

  private static void authenticate(HttpServer.Builder<Server> builder, JsonNode login, Path directory) throws Exception {
    Path users = directory.resolve("users.properties");
    Files.writeString(users, login.get("user").asText() + ": " + login.get("password").asText() + ",users\n");
    String[] roles = {"users"};
    if (login.get("scheme").asText().equals("digest")) {
      builder.withDigestAuthentication(users.toString(), roles);
    } else {
      builder.withBasicAuthentication(users.toString(), roles);
    }
  }

  /** Makes a key for this one run; the answer is its certificate. */
  private static byte[] encrypt(HttpServer.Builder<Server> builder, Path directory) throws Exception {
    File store = directory.resolve("key.p12").toFile();
    String password = "changeit";
    String keytool = Path.of(System.getProperty("java.home"), "bin", "keytool").toString();
    Process process = new ProcessBuilder(keytool, "-genkeypair", "-alias", "server", "-keyalg", "EC", "-storetype",
        "PKCS12", "-keystore", store.getPath(), "-storepass", password, "-dname", "CN=localhost", "-ext",
        "san=dns:localhost,ip:127.0.0.1").redirectErrorStream(true).redirectOutput(ProcessBuilder.Redirect.DISCARD)
        .start();
    if (process.waitFor() != 0) {
      throw new IllegalStateException("keytool made no key");
    }
    builder.withTLS(store, password, store, password, "PKCS12");
    java.security.KeyStore keys = java.security.KeyStore.getInstance(store, password.toCharArray());
    return keys.getCertificate("server").getEncoded();
  }

  private static void delete(Path directory) throws Exception {
    for (String file : List.of("users.properties", "key.p12")) {
      Files.deleteIfExists(directory.resolve(file));
    }
    Files.deleteIfExists(directory);
  }

  public static void main(String[] args) throws Exception {
    BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
    JsonNode settings = json.readTree(input.readLine());
    Path directory = Path.of(settings.get("directory").asText());
    JdbcMeta meta;
    String certificate = "";
    HttpServer server;
    try {
      meta = meta(settings);
      HttpServer.Builder<Server> builder = HttpServer.Builder.<Server>newBuilder()
          .withHandler(new LocalService(meta), Serialization.PROTOBUF).withPort(0)
          .withServerCustomizers(List.<ServerCustomizer<Server>>of(each -> listen(each, settings)), Server.class);
      if (settings.hasNonNull("authentication")) {
        authenticate(builder, settings.get("authentication"), directory);
      }
      if (settings.path("tls").asBoolean()) {
        certificate = Base64.getEncoder().encodeToString(encrypt(builder, directory));
      }
      server = builder.build();
      server.start();
    } catch (Throwable cause) {
      delete(directory);
      answer(Map.of("failed", String.valueOf(cause)));
      System.exit(1);
      return;
    }
    // the server has read what was in it; from here on it keeps nothing on disk
    delete(directory);
    answer(Map.of("port", server.getPort(), "certificate", certificate));
    for (String line = input.readLine(); line != null; line = input.readLine()) {
      answer(((Remembering) meta).remembered());
    }
    System.exit(0);
  }
}

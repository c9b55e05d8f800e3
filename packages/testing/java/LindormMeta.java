import com.fasterxml.jackson.databind.JsonNode;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.sql.SQLInvalidAuthorizationSpecException;
import java.util.List;
import java.util.Properties;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.apache.calcite.avatica.NoSuchStatementException;
import org.apache.calcite.avatica.jdbc.JdbcMeta;

/**
 * Avatica over H2 as LindormTable shows itself: a login of its own, databases, and UPSERT, which overwrites the row that
 * has the same key.
 */
class LindormMeta extends JdbcMeta {
  private static final Pattern upsert = Pattern.compile("^\\s*upsert\\s+into\\b", Pattern.CASE_INSENSITIVE);

  private final String url;
  private final JsonNode lindorm;

  LindormMeta(String url, Properties properties, JsonNode lindorm) throws SQLException {
    super(url, properties);
    this.url = url;
    this.lindorm = lindorm;
  }

  /** H2's MERGE without KEY goes by the primary key. */
  private static String translate(String sql) {
    return upsert.matcher(sql).replaceFirst("MERGE INTO");
  }

  @Override protected Connection createConnection(String ignored, Properties info) throws SQLException {
    String user = info.getProperty("lindorm_user", info.getProperty("user"));
    String password = info.getProperty("lindorm_password", info.getProperty("password"));
    if (!lindorm.get("user").asText().equals(user) || !lindorm.get("password").asText().equals(password)) {
      throw new SQLInvalidAuthorizationSpecException("Access denied for user '" + user + "'", "28000", 1045);
    }
    String database = info.getProperty("database", "default");
    boolean known = false;
    for (JsonNode each : lindorm.get("databases")) {
      known |= each.asText().equals(database);
    }
    if (!known) {
      throw new SQLException("Unknown database '" + database + "'", "42000", 1049);
    }
    // what the client said is for us, not for H2
    Connection connection = DriverManager.getConnection(url, "sa", "");
    try (var statement = connection.createStatement()) {
      String schema = "`" + database.replace("`", "``") + "`";
      statement.execute("CREATE SCHEMA IF NOT EXISTS " + schema);
      statement.execute("SET SCHEMA " + schema);
    }
    return connection;
  }

  @Override public StatementHandle prepare(ConnectionHandle connection, String sql, long maxRowCount) {
    return super.prepare(connection, translate(sql), maxRowCount);
  }

  @Override public ExecuteResult prepareAndExecute(StatementHandle statement, String sql, long maxRowCount,
      int maxRowsInFirstFrame, PrepareCallback callback) throws NoSuchStatementException {
    return super.prepareAndExecute(statement, translate(sql), maxRowCount, maxRowsInFirstFrame, callback);
  }

  @Override public ExecuteBatchResult prepareAndExecuteBatch(StatementHandle statement, List<String> commands)
      throws NoSuchStatementException {
    return super.prepareAndExecuteBatch(statement,
        commands.stream().map(LindormMeta::translate).collect(Collectors.toList()));
  }
}

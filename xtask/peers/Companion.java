package waybill.peer;

import java.io.IOException;
import java.security.GeneralSecurityException;
import java.security.KeyPairGenerator;
import java.util.Base64;
import org.eclipse.edc.runtime.metamodel.annotation.Inject;
import org.eclipse.edc.spi.EdcException;
import org.eclipse.edc.spi.security.Vault;
import org.eclipse.edc.spi.system.ServiceExtension;
import org.eclipse.edc.spi.system.ServiceExtensionContext;
import org.eclipse.edc.web.jetty.JettyService;

/**
 * Loaded into a connector under test. It listens on loopback only, which it has no setting for; its vault holds a fresh pair of keys for the
 * tokens of its proxy, under the names private-key and public-key; and it goes when its starter is gone.
 */
public class Companion implements ServiceExtension {
    @Inject
    private JettyService server;
    @Inject
    private Vault vault;

    @Override
    public void initialize(ServiceExtensionContext context) {
        server.addConnectorConfigurationCallback(connector -> connector.setHost("127.0.0.1"));
        try {
            var generator = KeyPairGenerator.getInstance("EC");
            generator.initialize(256);
            var pair = generator.generateKeyPair();
            vault.storeSecret("private-key", pem("PRIVATE KEY", pair.getPrivate().getEncoded()));
            vault.storeSecret("public-key", pem("PUBLIC KEY", pair.getPublic().getEncoded()));
        } catch (GeneralSecurityException e) {
            throw new EdcException(e);
        }
        var watch = new Thread(Companion::waitForTheStarter);
        watch.setDaemon(true);
        watch.start();
    }

    /** The starter holds the other end of standard input for as long as it lives. */
    private static void waitForTheStarter() {
        try {
            while (System.in.read() >= 0) { }
        } catch (IOException e) {
            // Gone too.
        }
        Runtime.getRuntime().halt(0);
    }

    private static String pem(String label, byte[] key) {
        var lines = Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(key);
        return "-----BEGIN " + label + "-----\n" + lines + "\n-----END " + label + "-----\n";
    }
}

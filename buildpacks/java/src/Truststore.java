import java.io.*;
import java.security.KeyStore;
import java.security.cert.*;

// Reads certificates (PEM) from the files named after the first, and writes into that a store of those to trust.
class Truststore {
    public static void main(String[] arguments) throws Exception {
        // Without these, salts would make each store another file; there is nothing secret in it.
        System.setProperty("keystore.pkcs12.certProtectionAlgorithm", "NONE");
        System.setProperty("keystore.pkcs12.macAlgorithm", "NONE");
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(null, null);
        CertificateFactory factory = CertificateFactory.getInstance("X.509");
        int number = 0;
        for (int i = 1; i < arguments.length; i++) {
            try (InputStream input = new BufferedInputStream(new FileInputStream(arguments[i]))) {
                for (Certificate certificate : factory.generateCertificates(input)) {
                    store.setCertificateEntry("ca-" + number++, certificate);
                }
            }
        }
        try (OutputStream output = new FileOutputStream(arguments[0])) {
            store.store(output, new char[0]);
        }
        System.out.println(number);
    }
}

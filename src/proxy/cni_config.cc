#include "proxy/cni_config.h"

#include "base/files.h"
#include "base/strings.h"

namespace km::proxy {

std::string cniConflist(const CniConfig& config) {
  std::string ranges, routes;
  for (const auto& [cidr, gateway] : config.podRanges) {
    if (!ranges.empty()) ranges += ", ", routes += ", ";
    ranges += "[{\"subnet\": " + quote(cidr) + ", \"gateway\": " + quote(gateway) + "}]";
    routes += contains(cidr, ":") ? "{\"dst\": \"::/0\"}" : "{\"dst\": \"0.0.0.0/0\"}";
  }
  std::string mtu = config.mtu > 0 ? "      \"mtu\": " + std::to_string(config.mtu) + ",\n" : "";
  std::string kept = config.addressesDir.empty() ? "" : "        \"dataDir\": " + quote(config.addressesDir) + ",\n";
  return "{\n  \"cniVersion\": \"1.0.0\",\n  \"name\": " + quote(config.name) +
         ",\n  \"plugins\": [\n    {\n      \"type\": \"bridge\",\n      \"bridge\": " + quote(config.bridge) +
         ",\n      \"isGateway\": false,\n      \"ipMasq\": false,\n      \"hairpinMode\": true,\n" + mtu +
         "      \"ipam\": {\n        \"type\": \"host-local\",\n" + kept +
         "        \"ranges\": [" + ranges + "],\n        \"routes\": [" +
         routes + "]\n      }\n    },\n    {\n      \"type\": \"portmap\",\n      \"capabilities\": {\"portMappings\": true}\n" +
         "    }\n  ]\n}\n";
}

Status writeCniConflist(const std::string& directory, const CniConfig& config) {
  if (config.podRanges.empty()) return errors::failed("a CNI configuration needs a range of pod addresses");
  KM_TRY(makeDirs(directory));
  std::string path = directory + "/10-" + config.name + ".conflist", text = cniConflist(config);
  if (auto old = readFile(path); old.ok() && *old == text) return {};
  return writeFileAtomic(path, text);
}

}  // namespace km::proxy

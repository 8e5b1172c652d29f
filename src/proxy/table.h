// Table: what an nftables table of ours shall hold, as plain text pieces, and the commands that lead from one such state to
// another. Pure: no kernel, no sockets.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace km::proxy {

// A set or map of the table. Elements are text as nft reads it; `value` is empty in sets. A set whose declaration is
// dynamic is filled by packets: its elements are not ours to write.
struct Set {
  std::string declaration;                      // "type ipv4_addr; flags ...;"
  bool isMap = false;
  std::map<std::string, std::string> elements;  // key -> value
  bool operator==(const Set&) const = default;
};

struct Chain {
  std::string hook;  // "type nat hook prerouting priority -100;", or empty
  std::vector<std::string> rules;
  bool operator==(const Chain&) const = default;
};

struct Table {
  std::map<std::string, Set> sets;
  std::map<std::string, Chain> chains;
  bool operator==(const Table&) const = default;
};

// Commands that turn the table `name` ("ip km-proxy") from `before` into `after`, for one transaction; empty if they are
// equal. Null `before`: nothing is known of it, a table of that name is removed and made anew in the same transaction.
std::string difference(const std::string& name, const Table* before, const Table& after);

}  // namespace km::proxy

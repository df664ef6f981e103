// demo NAME BUG EAGER SEED: one demonstration, with one planted bug. Prints "right", or what went wrong.
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>

#include "demo.h"

int main(int count, char** arguments) {
  const std::map<std::string, std::function<std::string(demo::Bug)>> demos = {
      {"block_sum", demo::block_sum},
      {"warp_functions", demo::warp_functions},
      {"layouts", demo::layouts},
      {"product_sm80", demo::product_sm80},
      {"layouts_sm90", demo::layouts_sm90},
      {"product_sm90", demo::product_sm90},
      {"product_cluster", demo::product_cluster}};
  if (count != 5 || !demos.count(arguments[1])) return 2;
  int bug = 0;
  while (bug < static_cast<int>(demo::Bug::count) && std::string(demo::kBugNames[bug]) != arguments[2]) bug++;
#if defined(GICA_EMULATED)
  emulator::set_eager(std::atoi(arguments[3]));
  emulator::set_seed(std::atoi(arguments[4]));
#endif
  const std::string wrong = demos.at(arguments[1])(static_cast<demo::Bug>(bug));
  std::puts(wrong.empty() ? "right" : wrong.c_str());
}

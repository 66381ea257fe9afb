package main

import "github.com/spf13/cobra"

func checkpointCommand() *cobra.Command { return &cobra.Command{Use: "checkpoint"} }
func configCommand() *cobra.Command     { return &cobra.Command{Use: "config"} }
func proofCommand() *cobra.Command      { return &cobra.Command{Use: "proof"} }
func shopperCommand() *cobra.Command    { return &cobra.Command{Use: "shopper"} }
